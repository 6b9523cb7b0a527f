"""What a host's store has, and who may write to it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host_paths import (
    ALERTMANAGER_DATA,
    ALERTS,
    BLOBS,
    BUDGETS,
    FILES,
    GENERATIONS,
    LIVE,
    METRICS,
    MODELS,
    OWNERS,
    PACKAGES,
    PROMETHEUS_DATA,
    ROOT,
    WRITTEN,
)
from sealift.ship.plan import listing_script

_FOLDER, _FILE = "755", "644"  # apt reads packages as a user of its own
_ROOTS = "0:0"
_PRIVATE = "700"  # of generations and live files, which have secrets in them, and of what clients used
# What services keep for themselves, private too. What is in there is theirs.
_KEPT = (ALERTMANAGER_DATA, ALERTS, PROMETHEUS_DATA)
# What lies in folders that containers write to. Root does not follow them there: a folder may become a link.
_THEIRS = (f"{BUDGETS}/*/*", *(f"{folder}/*" for folder in (*_KEPT, METRICS)))


class Root(FactBase[str]):
    """Where sealift's folder leads; empty where it is no link."""

    default = str

    def command(self) -> str:
        """The shell command."""
        return f"if [ -L {ROOT} ]; then readlink {ROOT}; fi"

    @foreign
    def process(self, output: list[str]) -> str:
        """Take the line."""
        return output[0]


class HostStore(FactBase[list[str]]):
    """The lines of a listing of the host store, for `sealift.ship.plan.parse_listing`."""

    default = list

    def command(self, root: str = ROOT) -> str:
        """Run the listing that shipping itself goes by.

        + root: where sealift's folder really lies
        """
        return shlex.join(["sh", "-c", listing_script(root)])

    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are: parsing them needs the host's name."""
        return output


@dataclass(frozen=True, order=True)
class Access:
    """Who may do what with a folder or a file: its mode, octal, and its owner as UID:GID."""

    mode: str
    owner: str

    def against(self, to_be: Access) -> str:
        """What is wrong with it."""
        if self.owner != to_be.owner:
            return f"belongs to {self.owner}, expected {to_be.owner}"
        return f"has mode {self.mode}, expected {to_be.mode}"


class StoreAccess(FactBase[Mapping[str, tuple[Access, Access]]]):
    """Folders of the host store, manifests of models and sealift's lists that the wrong ones could change.

    As path: how it is, how it is to be. Blobs are not among them, a listing has theirs; nor are the files of
    a generation.
    """

    default = dict

    def command(self) -> str:
        """Look at every folder, and at the few files that no other fact looks at."""
        paths = (f"{GENERATIONS}/*", f"{ROOT}/.load.*", f"{BLOBS}/*", *_THEIRS)
        named = " -o ".join(f"-path '{path}'" for path in paths)
        skipped = f"\\( {named} \\) -prune"
        files = (
            f"\\( -path '{MODELS}/manifests/*' -o -path {FILES} -o -path {PACKAGES} -o -path {WRITTEN} \\)"
        )
        seen = f"\\( -type d -o -type f {files} \\)"
        return (
            f"if [ -d {ROOT} ]; then find -H {ROOT} {skipped} -o {seen} -printf '%y\\t%m\\t%U:%G\\t%p\\n'; fi"
        )

    @foreign
    def process(self, output: list[str]) -> Mapping[str, tuple[Access, Access]]:
        """Read the lines of `find`; keep those that are not as they are to be."""
        found: dict[str, tuple[Access, Access]] = {}
        for line in output:
            kind, mode, owner, path = line.split("\t", 3)
            access, to_be = Access(mode, owner), _right(kind, path)
            if access != to_be:
                found[path] = access, to_be
        return found


def _right(kind: str, path: str) -> Access:
    """Who may do what with a folder or a file.

    + kind: find's letter: d is a folder
    """
    if path in (GENERATIONS, *_KEPT) or f"{path}/".startswith((f"{LIVE}/", f"{BUDGETS}/")):
        return Access(_PRIVATE, _ROOTS)
    owner = OWNERS.get(path)
    return Access(_FOLDER if kind == "d" else _FILE, _ROOTS if owner is None else f"{owner}:{owner}")
