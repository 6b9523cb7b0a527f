"""Hosts that front doors send nothing to: a file of the site's, beside its secrets, with a name a line.

It says what is to be. Every `apply` goes by it, so a host stays drained until somebody undrains it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import read_limited, write_atomically
from sealift.host.settings import SiteSettings

_LIMIT = 1 << 20  # bytes
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,253}")


def drained_file(settings: SiteSettings) -> Path:
    """Where the names stand."""
    return settings.secrets.with_name("drained")


def read_drained(settings: SiteSettings) -> frozenset[str]:
    """The drained hosts of a site. Raises SealiftError where the file is no list of names."""
    path = drained_file(settings)
    return parse_drained(read_limited(path, _LIMIT), path) if path.exists() else frozenset()


def parse_drained(content: bytes, path: Path) -> frozenset[str]:
    """Read the file. Raises SealiftError where it is no list of names."""
    names = content.decode(errors="replace").splitlines()
    if not all(_NAME.fullmatch(name) for name in names):
        raise SealiftError(f"{path}: is no list of hosts, expected a name a line. Correct it.")
    return frozenset(names)


def write_drained(settings: SiteSettings, names: Iterable[str]) -> None:
    """Put these hosts in place of those that were drained before, in one step."""
    write_atomically(drained_file(settings), "".join(f"{name}\n" for name in sorted(names)).encode())
