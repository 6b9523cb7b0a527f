"""How idle the machine's processors were while something ran."""

from __future__ import annotations

from pathlib import Path


class Idle:
    """Looks at them when its block begins and when it ends.

    + share: of all of them, from 0 to 1, that nobody wanted
    """

    share = 0.0

    def __enter__(self) -> Idle:
        self._before = _ticks()
        return self

    def __exit__(self, *_: object) -> None:
        idle, every = (now - before for now, before in zip(_ticks(), self._before, strict=True))
        self.share = idle / every if every else 0.0


def _ticks() -> tuple[int, int]:
    """Ticks that all cores were idle, and all. Source: proc_stat(5)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
