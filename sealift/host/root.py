"""Where sealift's folder lies on a host, which may be another disk: `data_folder` of the inventory.

Everything goes by the path in `sealift.host_paths`. With a data folder that is a link, made before anything
is shipped. It dangles where the disk is not mounted: what would fill the disk of /var then fails.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

from sealift.errors import one_line
from sealift.host.settings import SiteSettings
from sealift.host_paths import ROOT

_MAKE = resources.files("sealift.host").joinpath("root.sh").read_text()
# Before anything of Docker's or sealift's is moved. Containers would go on while Docker itself is stopped.
STOP = "docker ps -q | xargs -r docker stop; systemctl stop docker.socket docker"

_Found = Iterator[tuple[str, str, str]]  # what, expected, remedy


@dataclass(frozen=True)
class HostRoot:
    """What stands where sealift's folder is to be.

    + kind: `link`, `mount`, `full` (a folder with content, or a file), `empty`, or empty where nothing stands
    + target: where the link leads
    + disk: whether the data folder is there; so it is where the site names none
    + there: whether the folder that it is to be, or to lead to, is there
    + deployed: whether a generation of sealift's is active in that folder
    """

    kind: str = ""
    target: str = ""
    disk: bool = True
    there: bool = False
    deployed: bool = False


def parse_root(found: Mapping[str, list[str]]) -> HostRoot:
    """What probe.sh found.

    + found: its values by key
    """

    def one(key: str) -> str:
        return next(iter(found.get(key, [])), "")

    kind, _, target = one("root").partition(" ")
    return HostRoot(kind, target, one("disk") == "yes", one("there") == "yes", one("deployed") == "yes")


def make_root(data_folder: str) -> str:
    """A script that makes the link, where the site has a data folder and the host has no link yet.

    + data_folder: the setting; not empty
    """
    names = shlex.join((ROOT, data_folder, f"{data_folder}/sealift"))
    return f"sh -c {shlex.quote(_MAKE)} sealift {names}"


def root_problems(found: HostRoot, settings: SiteSettings) -> _Found:
    """What keeps a host's folder from lying where the site wants it: what, what was expected, what to do."""
    wanted, disk = settings.root, settings.data_folder
    leads_to = one_line(found.target)[:200]
    if disk and not found.disk:
        yield (
            f"has no folder {disk}, which data_folder names",
            "one that is there: sealift makes none where a disk may have failed to mount",
            f"Mount that disk. If it is to be a plain folder: mkdir {disk}",
        )
    elif disk and found.kind == "link" and found.target != wanted:
        yield (
            f"its {ROOT} is a link to {leads_to}",
            f"one to {wanted}, as data_folder says",
            f"Correct data_folder. Or: {_moving(found.target, wanted)}",
        )
    elif found.kind == "link" and not found.there:
        yield (
            f"its {ROOT} is a link to {leads_to}, which is not there",
            "that folder",
            f"Mount its disk. If that is a new one, to be filled anew: mkdir {leads_to}",
        )
    elif disk and found.kind == "mount":
        yield (
            f"its {ROOT} is a file system of its own",
            f"a link to {wanted}, as data_folder says",
            f"Leave data_folder empty, or empty and unmount it, out of /etc/fstab too: umount {ROOT}",
        )
    elif disk and found.kind == "full":
        yield (
            f"its {ROOT} has something in it",
            f"a link to {wanted}, as data_folder says",
            _moving(ROOT, wanted),
        )


def lost_link(found: HostRoot, settings: SiteSettings) -> str | None:
    """What is told where a host is deployed, but the link to its data folder is gone."""
    if settings.data_folder and found.deployed and found.kind in ("", "empty"):
        return f"{ROOT} is no link to {settings.root}"
    return None


def _moving(source: str, wanted: str) -> str:
    paths = " ".join((shlex.quote(one_line(source)), wanted))
    return (
        "Move it by hand, and the next `sealift apply` starts all again: "
        f"{STOP}; mv -T {paths} && ln -sfnT {wanted} {ROOT}"
    )
