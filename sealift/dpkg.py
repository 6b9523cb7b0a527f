"""The order of Debian's versions, which is dpkg's own."""

from __future__ import annotations

import subprocess


def is_older(version: str, than: str) -> bool:
    """Whether a version comes before another one. Source: deb-version(7)."""
    command = ("dpkg", "--compare-versions", version, "lt", than)
    return subprocess.run(command, capture_output=True).returncode == 0
