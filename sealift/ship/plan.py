"""What has to go to a host: pure functions of what it needs and what its store has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources

from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.host_paths import BLOBS, PARTIAL, ROOT

LISTING = resources.files("sealift.ship").joinpath("listing.sh").read_text()

# find's %T@ of epoch second 1, the mark of a verified blob; %m of a file that nobody should write
_VERIFIED = ("1.0000000000", "444")
_HEX = re.compile(r"[0-9a-f]{64}")
_BYTES = re.compile(r"[0-9]{1,18}")  # a listing is foreign: int() takes neither any text nor any length


@dataclass(frozen=True)
class Have:
    """What a host store has, by blob's hex digest.

    + verified: sizes of blobs that nobody touched since their content was verified
    + touched: blobs that somebody did touch: to be hashed again
    + partial: sizes of what is there of blobs on their way in
    + free: bytes free on the store's file system
    """

    verified: Mapping[str, int]
    touched: frozenset[str]
    partial: Mapping[str, int]
    free: int


@dataclass(frozen=True)
class Item:
    """A blob to ship, from this offset on, in bytes."""

    blob: Blob
    offset: int

    @property
    def bytes(self) -> int:
        """What is left to ship."""
        return self.blob.size - self.offset


@dataclass(frozen=True)
class ShipPlan:
    """What goes to a host.

    + check: blobs in its store to be hashed again, which are counted as there
    + items: blobs to ship
    """

    check: tuple[Blob, ...]
    items: tuple[Item, ...]

    @property
    def bytes_total(self) -> int:
        """Bytes to ship."""
        return sum(item.bytes for item in self.items)


def listing_script(root: str) -> str:
    """The script that lists a host store.

    + root: where sealift's folder really lies on the host
    """
    return f"{LISTING}\nlisting {shlex.join(path.replace(ROOT, root, 1) for path in (BLOBS, PARTIAL))}"


def parse_listing(host: str, lines: Iterable[str]) -> Have:
    """Parse what listing.sh prints. Files that are no blobs, and lines of other kinds, are passed over.

    Raises SealiftError where the listing is not whole.
    """
    verified: dict[str, int] = {}
    touched: set[str] = set()
    partial: dict[str, int] = {}
    free: int | None = None
    for line in lines:
        match line.split():
            case ["blob", name, size, *mark] if _HEX.fullmatch(name) and _BYTES.fullmatch(size):
                if tuple(mark) == _VERIFIED:
                    verified[name] = int(size)
                else:
                    touched.add(name)
            case ["partial", name, size] if _HEX.fullmatch(name) and _BYTES.fullmatch(size):
                partial[name] = int(size)
            case ["free", number] if _BYTES.fullmatch(number):
                free = int(number)
    if free is None:
        raise SealiftError(f"{host}: does not tell what it has in its store. Try again; look at its shell.")
    return Have(verified, frozenset(touched), partial, free)


def plan(needed: Iterable[Blob], have: Have) -> ShipPlan:
    """What has to go to a host: nothing it has, and only the rest of what it has in part."""
    check: list[Blob] = []
    items: list[Item] = []
    for blob in needed:
        if blob.hex in have.touched:
            check.append(blob)
        elif have.verified.get(blob.hex) != blob.size:
            there = have.partial.get(blob.hex, 0)
            items.append(Item(blob, there if there <= blob.size else 0))
    return ShipPlan(tuple(check), tuple(items))
