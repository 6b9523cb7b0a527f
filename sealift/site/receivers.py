"""What the settings of receivers name on the control node, opened in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.host.alert_settings import ReceiverSettings
from sealift.host.receivers import Receivers
from sealift.site.secrets import read_private

_LIMIT = 1 << 18  # bytes: a bundle of CAs is the largest of it
# Percent signs as Go has them, in which Alertmanager is written.
_ADDRESS = re.compile(r"https?://([!-$&-~]|%[0-9A-Fa-f]{2}){1,2000}")
_Read = Callable[[Path, int], bytes]


def open_receivers(settings: ReceiverSettings) -> Receivers:
    """Read the files that a site's settings of receivers name.

    Raises SealiftError with every mistake, without a secret in it.
    """
    problems: list[str] = []

    def opened(path: Path | None, read: _Read, expected: str, right: Callable[[str], object]) -> str:
        if path is None:
            return ""
        try:
            text = read(path, _LIMIT).decode(errors="replace").strip()
        except SealiftError as error:
            problems.append(str(error))
            return ""
        if not right(text):
            problems.append(f"{path}: is something else, expected {expected}. Write it anew.")
        return text

    email, address = settings.email, "one address that begins with http:// or https://"
    found = Receivers(
        email,
        opened(email.password if email else None, read_private, "a password in one line", _is_line),
        opened(settings.webhook, read_private, address, _is_address),
        opened(settings.heartbeat, read_private, address, _is_address),
        opened(settings.ca, read_limited, "certificates in PEM", _is_pem),
    )
    if problems:
        raise SealiftError("\n".join(problems))
    return found


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(_ADDRESS.fullmatch(text) and parts.hostname and parts.port != 0)
    except ValueError:  # of a port that is none, or brackets around no address
        return False


def _is_line(text: str) -> bool:
    return bool(text) and text.isprintable()


def _is_pem(text: str) -> bool:
    return "-----BEGIN CERTIFICATE-----" in text
