"""A release's part for the control node, out of the depot: how a site that runs already gets the next one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealift.content import Content, hashed
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.files import locked
from sealift.install.activate import COMMAND, activate, remove_old
from sealift.install.content import Copy, control_part
from sealift.install.environment import deployment_folder, is_made, make_environment, room_for
from sealift.install.machine import check_machine, check_room
from sealift.install.packages import Installed, install_packages
from sealift.install.start import Item, StartError, unpack
from sealift.progress import Progress
from sealift.release.lockfile import dump_lock


@dataclass(frozen=True)
class Deployed:
    """What an installation did.

    + packages: Debian packages
    + made: whether a Python environment was made
    + activated: whether another deployment is in force now
    + removed: names of deployments that were removed, as two later ones were in force
    """

    release: str
    deployment: Path
    packages: Installed
    made: bool
    activated: bool
    removed: tuple[str, ...]


def install_from_depot(
    depot: Depot, reference: str, to: Path, progress: Progress, command: Path = COMMAND
) -> Deployed:
    """Install packages, code and environment of a release, and put that deployment in force.

    + reference: of a release in the depot, which was verified when it was imported
    + to: folder of all that is sealift's on the control node
    + progress: told of each step
    + command: where `sealift` is found

    Raises SealiftError where something must be mended first; what was in force stays in force then.
    """
    stored = depot.resolve(reference)
    control = control_part(dump_lock(stored.lock), stored.digest)
    check_machine(control)
    to, copy = to.absolute(), copying(depot)
    deployment = deployment_folder(to, control)
    with _held(to, progress):
        if not is_made(control, deployment):
            check_room({to: room_for(control)})
        progress("installing packages", 0, 0)
        packages = install_packages(control.packages, copy, to / "packages.partial")
        progress("unpacking code and wheels", 0, 0)
        unpack(control.code, copy, deployment)
        made = make_environment(control, copy, deployment)
        activated = activate(deployment, to, command)
        removed = remove_old(to)
    return Deployed(control.release, deployment, packages, made, activated, removed)


def copying(depot: Depot) -> Copy:
    """What copies blobs out of a depot; it raises SealiftError where one is missing or damaged."""

    def copy(item: Item, target: Path) -> None:
        path, digest = depot.blob_path(item.hex), hashlib.sha256()
        with target.open("wb") as file:
            file.writelines(hashed(Content.of_file(path).chunks(), digest))
        if digest.hexdigest() != item.hex:
            target.unlink()
            raise SealiftError(f"{path}: is damaged. Run sealift fsck --depot {depot.path}.")

    return copy


@contextmanager
def _held(to: Path, progress: Progress) -> Iterator[None]:
    try:
        waiting = f"{to}: another installation is running in it, waiting for its end"
        with locked(to, lambda: progress(waiting, 0, 0)):
            yield
    except StartError as error:
        raise SealiftError(str(error)) from None
