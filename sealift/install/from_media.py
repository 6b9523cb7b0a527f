"""What START.py goes on in: from the unpacked code to a control node with the release in its depot.

Nothing but Python's standard library and the parts of sealift that need nothing else may be imported here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.install.activate import COMMAND, activate, remove_old
from sealift.install.content import ControlPart, read_from_media
from sealift.install.environment import deployment_folder, make_environment, room_for
from sealift.install.machine import check_machine, check_room, has_links
from sealift.install.packages import install_packages
from sealift.install.start import STARTING, TABLE_LIMIT, Media, StartError, signer_of, unpack
from sealift.processes import WITH_US


def install_from_media(
    digest: str, allowed_signers: Path, to: Path, folders: Sequence[Path], replace: bool
) -> None:
    """Install packages, environment and release out of media, a line of output for each step.

    + digest: SHA-256 of the table that START.py has verified
    + allowed_signers: the site's list
    + to: folder of all that is sealift's here; its lock is held already
    + folders: media
    + replace: whether the release may take the place of another build of the same version

    Raises SealiftError or StartError where something must be mended first.
    """
    folder, table = _table(folders, digest)
    media = Media(folders, table)
    control = read_from_media(media)
    check_machine(control)
    if media.code != control.code:
        raise SealiftError("TABLE.txt: names other code than the lock does. Have the media written again.")
    _check_room(to, media, control)
    _say("release", f"{control.release}, {control.bundle}")
    step = _timed("packages")
    installed = install_packages(control.packages, media.copy, to / "packages.partial")
    step(f"{len(installed.now)} of {len(control.packages)} installed" if installed.now else "no change")
    if installed.kept:
        _say("", f"older, for they are on hold or needed so by others here: {', '.join(installed.kept)}")
    _say("signed by", signer_of(folder, table, allowed_signers))  # by now there is ssh-keygen
    step = _timed("sealift")
    deployment = deployment_folder(to, control)
    unpack(control.code, media.copy, deployment)
    made = make_environment(control, media.copy, deployment)
    step(f"{deployment}, {len(control.wheels)} wheels" if made else "no change")
    _import(control, deployment, allowed_signers, to, folders, replace)
    changed = activate(deployment, to)
    if removed := remove_old(to):
        _say("removed", f"{to}/deployments/: {', '.join(removed)}")
    shutil.rmtree(to / STARTING, ignore_errors=True)  # all that runs of it is loaded
    _say("ready", f"{COMMAND}, {to}/deployment{'' if changed else ': no change'}")


def _table(folders: Sequence[Path], digest: str) -> tuple[Path, bytes]:
    """The table that was verified, and the medium that it is on."""
    for folder in folders:
        try:
            content = read_limited(folder / "TABLE.txt", TABLE_LIMIT)
        except SealiftError:
            continue
        if hashlib.sha256(content).hexdigest() == digest:
            return folder, content
    raise SealiftError(f"{folders[0]}/TABLE.txt: was changed meanwhile. Run the command again.")


def _check_room(to: Path, media: Media, control: ControlPart) -> None:
    """Refuse a disk that is too small before anything is installed; media read, once begun, knows better."""
    incoming = _incoming(control, to)
    if _is_imported(control, to) or incoming.exists():
        return
    (to / "depot").mkdir(exist_ok=True)
    check_room(room_needed(to, media, control, has_links(to / "depot")))


def room_needed(to: Path, media: Media, control: ControlPart, shared: bool) -> dict[Path, int]:
    """Bytes by folder: copies of packages and wheels, the Python environment, and the bundle.

    The bundle is put together as a whole, also where the depot has some of it.

    + shared: whether the import can give its files second names; else it copies them
    """
    bundle = sum(file.size for file in media.files.values())
    return {to: room_for(control), to / "depot": bundle if shared else 2 * bundle}


def _incoming(control: ControlPart, to: Path) -> Path:
    """Where the bundle is put together: on the depot's disk, for an import shares files with it there."""
    return to / "depot/incoming" / control.bundle.removeprefix("sha256:")


def _is_imported(control: ControlPart, to: Path) -> bool:
    """Whether the depot has this bundle under this name: sealift/depot/store.py says how it is laid out."""
    registered = to / "depot/releases" / control.name / control.version
    return registered.is_file() and registered.read_bytes().strip() == control.bundle.encode()


def _import(
    control: ControlPart,
    deployment: Path,
    allowed_signers: Path,
    to: Path,
    folders: Sequence[Path],
    replace: bool,
) -> None:
    """Put the bundle together and take it into the depot, by the tool as it was installed just now."""
    incoming = _incoming(control, to)
    if _is_imported(control, to):
        _say("depot", "no change")
    else:
        signers = ("--allowed-signers", str(allowed_signers))
        step = _timed("bundle")
        read = _sealift(deployment, "media", "read", *map(str, folders), "--out", str(incoming), *signers)
        if read["missing"]:
            told = _missing(read["missing"], deployment, incoming)
            raise SealiftError("\n".join([*read["problems"], told]))
        step(f"{read['parts']} parts put together")
        step = _timed("depot")
        more = ("--depot", str(to / "depot"), *signers, *(("--replace",) if replace else ()))
        done = _sealift(deployment, "import", str(incoming), *more)
        step(f"{done['release']} imported")
    shutil.rmtree(incoming, ignore_errors=True)
    with suppress(OSError):  # other media are being read in it
        incoming.parent.rmdir()


def _missing(parts: Sequence[str], deployment: Path, incoming: Path) -> str:
    names = ", ".join(part.removesuffix(".part") for part in parts)
    return (
        f"{incoming}: has not all parts yet, missing: {names}. Name the media that hold them too, or read "
        f"one after the other by\n  {deployment}/.venv/bin/sealift media read MEDIUM --out {incoming} "
        "--allowed-signers FILE\nand run the command again with the first."
    )


def _sealift(deployment: Path, *arguments: str) -> dict[str, Any]:
    """Run the installed tool; progress and refusals go where this process's go. Gives its JSON."""
    command = [*WITH_US, str(deployment / ".venv/bin/sealift"), *arguments, "--json"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise SealiftError(
            f"sealift {' '.join(arguments[:2])}: exited {done.returncode}; what it said stands above. "
            "Mend that and run the command again."
        ) from None
    return dict(answer)


def _say(what: str, text: str) -> None:
    print(f"{what:<11} {text}", flush=True)


def _timed(what: str) -> Callable[[str], None]:
    """Begin a step; to be called with what came of it."""
    started = time.monotonic()
    if sys.stdout.isatty():
        print(f"{what:<11} ...", end="\r", flush=True)
    return lambda text: _say(what, f"{text} ({time.monotonic() - started:.1f} s)")


def main(arguments: Sequence[str]) -> None:
    """Take over from START.py.

    + arguments: digest of the table, list of allowed signers, where to, media, and perhaps --replace
    """
    digest, signers, to, *media = arguments
    folders = [Path(folder) for folder in media if folder != "--replace"]
    try:
        install_from_media(digest, Path(signers), Path(to), folders, "--replace" in media)
    except (SealiftError, StartError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: run the same command again, it goes on where it stopped")
    except OSError as error:
        sys.exit(f"{error.filename or to}: {error.strerror}. Mend that and run the command again.")
