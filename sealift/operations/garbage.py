"""Room on hosts: what no generation needs goes."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.garbage import Garbage
from sealift.host.garbage import OURS, REMOVE


@operation()
def garbage_collected() -> Generator[StringCommand, None, None]:
    """Have nothing of former releases but what the active generation and the one before it need."""
    found = host.get_fact(Garbage)
    every = (*found.generations, *found.repositories, *found.blobs)
    paths = [path for path in every if OURS.fullmatch(path)]
    if paths:
        yield StringCommand(f"xargs -d '\\n' sh -c {shlex.quote(REMOVE)} sealift", _stdin=paths)
