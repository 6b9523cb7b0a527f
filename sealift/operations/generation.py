"""Generations on hosts: placed whole, activated by one rename."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Generator
from pathlib import PurePosixPath

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.generation import GenerationFiles
from sealift.facts.text import Links
from sealift.fleet.generation import Generation
from sealift.host_paths import CURRENT, GENERATIONS, ROOT

Commands = Generator[StringCommand, None, None]


@operation()
def generation_present(generation: Generation) -> Commands:
    """Have a generation's folder hold exactly its files; it is replaced whole, by one rename, if it does not.

    The files travel over standard input: some are secret, and so are in no command and in no temporary file
    that others could read.

    + generation: what to place
    """
    if host.get_fact(GenerationFiles, generation=generation.id) == expected_files(generation):
        return
    place = f"{GENERATIONS}/{generation.id}"
    script = (
        "set -eu",
        "umask 077",
        f"mkdir -p {GENERATIONS}",
        f"rm -rf {GENERATIONS}/.new.*",
        f"new=$(mktemp -d {GENERATIONS}/.new.XXXXXX)",
        "trap 'rm -rf \"$new\"' EXIT",
        'base64 -d | tar -x -p -m -f - -C "$new"',
        'find "$new" -exec sync {} +',
        f'if [ -e {place} ]; then mv -T --exchange "$new" {place}; else mv -T "$new" {place}; fi',
        f"sync {GENERATIONS}",
    )
    encoded = base64.encodebytes(_archive(generation)).decode().splitlines()
    yield StringCommand("\n".join(script), _stdin=encoded)


@operation()
def generation_active(generation: Generation) -> Commands:
    """Have `current` point at a generation. It must be there.

    + generation: the one to activate
    """
    target = f"generations/{generation.id}"
    if host.get_fact(Links, folder=ROOT).get("current") != target:
        yield StringCommand(
            f"ln -sfnT {target} {CURRENT}.new && mv -T {CURRENT}.new {CURRENT} && sync {ROOT}"
        )


def expected_files(generation: Generation) -> dict[str, tuple[str, str]]:
    """What GenerationFiles finds where a generation is whole."""
    files = {path: (f"{file.mode:o}", file.sha256) for path, file in generation.files.items()}
    return {**dict.fromkeys((".", *_folders(generation)), ("700", "d")), **files}


def _folders(generation: Generation) -> list[str]:
    parents = {str(parent) for path in generation.files for parent in PurePosixPath(path).parents}
    return sorted(parents - {"."})


def _archive(generation: Generation) -> bytes:
    """The generation as a tar archive of root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in _folders(generation):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(entry)
        for path, file in sorted(generation.files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(file.content), file.mode
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
