"""Generations on hosts: placed whole, activated by one rename.

`generations/ID` is a link to the folder that holds the files, `.ID.XXXXXX`, so a damaged one is replaced by
renaming a link, which any Debian can do in one step: what `current` leads to is always there.
"""

from __future__ import annotations

import base64
import io
import re
import shlex
import tarfile
from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.generation import GenerationFiles, NotKept, expected_files, folders
from sealift.facts.text import Links
from sealift.host.generation import Generation
from sealift.host.judged import judged
from sealift.host.record import ETC
from sealift.host_paths import ARMED, CURRENT, GENERATIONS, PREVIOUS, ROOT, STOOD, UNCONFIRMED
from sealift.service import Service

Commands = Generator[StringCommand, None, None]
# Without a quotation of the configuration; a full disk is no fault of it.
_HARMLESS = '[Ff]ailed to load (private key|certificate)[^"{}]*|no space left on device'
_GENERATION = re.compile(r"generations/[0-9a-f]{12}")


@operation()
def generation_present(generation: Generation) -> Commands:
    """Have a generation hold exactly its files; it is replaced whole, by one rename, if it does not.

    The files travel over standard input: some are secret, and so are in no command and in no temporary file
    that others could read.

    + generation: what to place
    """
    if host.get_fact(GenerationFiles, generation=generation.id) == expected_files(generation):
        return
    encoded = base64.encodebytes(archive(generation)).decode().splitlines()
    yield StringCommand("\n".join(placing(generation.id, GENERATIONS)), _stdin=encoded)


def placing(
    generation: str, folder: str, fill: str = 'base64 -d | tar -x -p -m -f - -C "$new"'
) -> tuple[str, ...]:
    """Lines of sh(1) that place a generation; they may end after any of them.

    At last, what no link leads to is removed: damaged folders, and what an earlier run has left.

    + generation: its id
    + folder: of all generations
    + fill: line that fills the folder $new; where none is given, out of an archive in base64
    """
    return (
        f"set -eu; umask 077; mkdir -p {folder}; cd {folder}",
        f"new=$(mktemp -d .{generation}.XXXXXX)",
        fill,
        f'[ ! -d {generation}/stood ] || cp -a {generation}/stood "$new"',  # what is kept beside it
        'find "$new" -exec sync {} +',
        # what is no link is of sealift's first version, or nobody's: a link cannot be renamed onto a folder
        f"[ -L {generation} ] || [ ! -e {generation} ] || mv -T {generation} .{generation}.folder",
        f'ln -sfnT "$new" .{generation}',
        f"mv -T .{generation} {generation}",
        "sync .",
        'for old in .*.??????; do id=${old#.}; [ "$(readlink "${id%.*}")" = "$old" ] || rm -rf "$old"; done',
    )


@operation()
def generation_active(generation: Generation) -> Commands:
    """Have `current` point at a generation. It must be there.

    `previous` is what a service that does not come up goes back to: the last one that proved itself. So it
    does not move while the current one has not.

    + generation: the one to activate
    """
    there = host.get_fact(Links, folder=ROOT)
    active = there.get("current", "")
    if active == f"generations/{generation.id}":
        return
    if not is_unconfirmed(there):
        if _GENERATION.fullmatch(active):
            yield StringCommand(pointing(PREVIOUS, active.removeprefix("generations/")))
        yield StringCommand(f": > {UNCONFIRMED} && sync {ROOT}")
    yield StringCommand(pointing(CURRENT, generation.id))


def is_unconfirmed(there: Mapping[str, str]) -> bool:
    """Whether a host's current generation has not proved itself.

    + there: what stands in sealift's folder
    """
    return not there.keys().isdisjoint(path.removeprefix(f"{ROOT}/") for path in (ARMED, UNCONFIRMED))


def is_armed(there: Mapping[str, str]) -> bool:
    """Whether a host goes back by itself unless it is told not to; what the last good one needs stays there.

    + there: what stands in sealift's folder
    """
    return ARMED.removeprefix(f"{ROOT}/") in there


@operation()
def generation_proved() -> Commands:
    """Have the current generation be one to go back to: all of it runs.

    What stands in /etc is kept beside it as it is: NVIDIA's tool has a part in it, and a later sealift may
    write something else there.
    """
    if host.get_fact(NotKept):
        yield StringCommand(keeping())
    there = host.get_fact(Links, folder=ROOT)
    if is_unconfirmed(there) and not is_armed(there):
        yield StringCommand(f"rm -f {UNCONFIRMED} && sync {ROOT}")


def keeping() -> str:
    """The script that copies what stands in /etc into the current generation."""
    new = f"{ROOT}/.stood"
    return "\n".join(
        (
            "set -eu; umask 077",
            f"rm -rf {new}; mkdir {new}; cd /",
            f"for path in {' '.join(ETC)}; do",
            f'[ ! -f "$path" ] || cp -p --parents ".$path" {new}; done',
            f"find {new} -exec sync {{}} +",
            f"rm -rf {STOOD}; mv -T {new} {STOOD}; sync {CURRENT}/",
        )
    )


def pointing(link: str, generation: str) -> str:
    """A line of sh(1) by which a link leads to a generation, in one step.

    + link: `current` or `previous`, absolute
    + generation: its id
    """
    return f"ln -sfnT generations/{generation} {link}.new && mv -T {link}.new {link} && sync {ROOT}"


@operation()
def generation_valid(generation: Generation, service: Service, image: str) -> Commands:
    """Have a service's image judge a generation that is not active yet.

    + generation: what was placed
    + service: that says how it is judged
    + image: its name
    """
    if host.get_fact(Links, folder=ROOT).get("current") != f"generations/{generation.id}":
        said = judged(generation, service).decode()
        yield StringCommand(validation(service, image), _stdin=said)


def validation(service: Service, image: str) -> str:
    """The shell script that has an image judge what it gets over standard input, away from any network.

    Of what it says, only words about certificates and keys are passed on: it may quote the configuration, and
    that has the clients' keys in it.
    """
    entrypoint, *arguments = service.validate
    run = (
        "docker run --rm --interactive --network none --read-only --tmpfs /tmp --cap-drop ALL "
        f"--entrypoint {entrypoint} {shlex.quote(image)} {shlex.join(arguments)}"
    )
    remedy = (
        f"the image of {service.name} refuses the configuration that was rendered for this host. Nothing was "
        "activated: what ran goes on. Look at the certificate, its key and the settings."
    )
    told = f"{{ echo {shlex.quote(remedy)}; echo \"$said\" | grep -oE '{_HARMLESS}' | tail -n 1; }} >&2"
    return f"said=$({run} 2>&1) || {{ {told}; exit 1; }}"


def archive(generation: Generation) -> bytes:
    """The generation as a tar archive of root's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in folders(generation):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o700
            archive.addfile(entry)
        for path, file in sorted(generation.files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.gid = len(file.content), file.mode, file.group
            archive.addfile(entry, io.BytesIO(file.content))
    return buffer.getvalue()
