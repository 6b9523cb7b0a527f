"""The systems that hosts may run, as data: what apt, preflight and the control node's wheels go by.

Sources: os-release(5); https://packages.debian.org and https://packages.ubuntu.com for python3 and libc6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A release of Debian or Ubuntu.

    + system: its `ID` in os-release
    + title: for people
    + python: of its package python3
    + glibc: the minor version of its libc6, 2.MINOR
    """

    name: str
    system: str
    title: str
    python: str
    glibc: int

    @property
    def archives(self) -> tuple[str, ...]:
        """The suite itself, its updates, its security updates."""
        return (self.name, f"{self.name}-updates", f"{self.name}-security")


SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("bookworm", "debian", "Debian 12", "3.11.2", 36),
        Suite("trixie", "debian", "Debian 13", "3.13.5", 41),
        Suite("jammy", "ubuntu", "Ubuntu 22.04", "3.10.12", 35),
        Suite("noble", "ubuntu", "Ubuntu 24.04", "3.12.3", 39),
    )
}
DEBIAN = "debian"
