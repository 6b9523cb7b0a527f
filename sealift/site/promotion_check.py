"""What is wrong with a site's settings of promotion, as far as its files show it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.host.promotion_settings import PromotionSettings

_LIMIT = 1 << 20  # bytes of a list of signers


def promotion_problems(settings: PromotionSettings) -> Iterator[str]:
    """A line each."""
    asks = settings.from_ or settings.approvals
    if asks and settings.signers is None:
        yield (
            "promotion.signers: is not set, so nothing is ever taken, expected a list of allowed signers. "
            "See docs/promotion.md."
        )
    if settings.signers is not None:
        yield from _signers_problems(settings, settings.signers)
    if settings.key is not None:
        yield from _key_problems(settings.key)


def _signers_problems(settings: PromotionSettings, path: Path) -> Iterator[str]:
    try:
        text = read_limited(path, _LIMIT).decode(errors="replace")
    except SealiftError as error:
        yield str(error)
        return
    lines = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    for wanted, namespace in (
        (settings.from_, "sealift-promotion"),
        (settings.approvals, "sealift-approval"),
    ):
        if wanted and not any(namespace in line or "namespaces=" not in line for line in lines):
            yield (
                f"{path}: allows nobody {namespace}, expected a line with it: "
                f'NAME namespaces="{namespace}" ssh-ed25519 KEY'
            )


def _key_problems(path: Path) -> Iterator[str]:
    if not path.is_file():
        yield (
            f"{path}: not found, expected the key that signs records. Make it: "
            f"ssh-keygen -t ed25519 -N '' -f {path}"
        )
    elif stat.S_IMODE(path.stat().st_mode) & 0o077 and path.suffix != ".pub":
        yield f"{path}: is open to others, expected mode 0600. Run chmod 600 {path}"
