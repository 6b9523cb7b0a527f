"""Room on hosts: what no generation needs goes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.garbage import Garbage
from sealift.host_paths import BLOBS, GENERATIONS, REPOSITORIES

_OURS = re.compile(rf"({GENERATIONS}/[0-9a-f]{{12}}|{REPOSITORIES}/[0-9a-f]{{12}}|{BLOBS}/[0-9a-f]{{64}})")


# A generation is a link to a hidden folder beside it.
_REMOVE = """\
for path; do
    [ ! -L "$path" ] || rm -rf -- "$(readlink -f "$path")"
    rm -rf -- "$path"
done"""


@operation()
def garbage_collected() -> Generator[StringCommand, None, None]:
    """Have nothing of former releases but what the active generation and the one before it need."""
    found = host.get_fact(Garbage)
    every = (*found.generations, *found.repositories, *found.blobs)
    paths = [path for path in every if _OURS.fullmatch(path)]
    if paths:
        yield StringCommand(f"xargs -d '\\n' sh -c {shlex.quote(_REMOVE)} sealift", _stdin=paths)
