"""What on a host no generation needs, and how it goes: scripts for pyinfra and for plain SSH alike."""

from __future__ import annotations

import re
from importlib import resources

from sealift.host_paths import BLOBS, GENERATIONS, REPOSITORIES

GARBAGE = resources.files("sealift.host").joinpath("garbage.sh").read_text()  # see there
OURS = re.compile(rf"({GENERATIONS}/[0-9a-f]{{12}}|{REPOSITORIES}/[0-9a-f]{{12}}|{BLOBS}/[0-9a-f]{{64}})")
# Removes its arguments. A generation is a link to a hidden folder beside it.
REMOVE = """\
for path; do
    [ ! -L "$path" ] || rm -rf -- "$(readlink -f "$path")"
    rm -rf -- "$path"
done"""
