"""What a release has for the control node, out of its lock. No parsing library is installed yet."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.errors import SealiftError
from sealift.install.start import Item, Media

_BLOBS = "blobs/sha256/"
_SMALL_LIMIT = 16 << 20  # bytes
_LOCK_LIMIT = 64 << 20
_REF_NAME = "org.opencontainers.image.ref.name"
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+-]*", re.ASCII)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

Copy = Callable[[Item, Path], None]
"""Puts a blob's bytes into a file, verified; raises an error that the user can mend where it cannot."""


@dataclass(frozen=True)
class Package:
    """A Debian package for the control node."""

    name: str
    version: str
    deb: Item


@dataclass(frozen=True)
class ControlPart:
    """What a release has for the control node.

    + name, version: the release's
    + bundle: digest of its bundle's index
    + suite: Debian's
    + python: digest of all that goes into its deployment: code and wheels
    """

    name: str
    version: str
    bundle: str
    suite: str
    python: str
    code: Item
    requirements: Item
    wheels: tuple[Item, ...]
    packages: tuple[Package, ...]

    @property
    def release(self) -> str:
        """`NAME:VERSION`."""
        return f"{self.name}:{self.version}"


def read_from_media(media: Media) -> ControlPart:
    """Follow the index of the bundle on the media to its lock.

    Raises StartError where the media lack what is needed, SealiftError where it is not what sealift builds.
    """
    index = _read(media, "index.json", _SMALL_LIMIT)
    try:
        release = next(
            entry["digest"]
            for entry in json.loads(index)["manifests"]
            if entry.get("annotations", {}).get(_REF_NAME) == "release"
        )
        manifest = json.loads(_read(media, _BLOBS + _hex(release), _SMALL_LIMIT))
        content = _read(media, _BLOBS + _hex(manifest["config"]["digest"]), _LOCK_LIMIT)
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError) as error:
        raise SealiftError(
            f"index.json: names no lock ({error!r}), expected one as sealift build writes it. Build it again."
        ) from None
    return control_part(content, f"sha256:{hashlib.sha256(index).hexdigest()}")


def _read(media: Media, name: str, limit: int) -> bytes:
    file = media.files.get(name)
    if file is None or file.size > limit:
        what = "is not on these media" if file is None else f"has {file.size} bytes"
        raise SealiftError(
            f"{name}: {what}, expected it there with {limit} bytes at most. Have the media written again."
        )
    with tempfile.TemporaryDirectory() as folder:
        media.copy(file, Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def control_part(content: bytes, bundle: str) -> ControlPart:
    """Parse what a lock has for the control node.

    + content: the lock, JSON, of a bundle that was verified
    + bundle: digest of that bundle's index

    Raises SealiftError where it has nothing, or is no lock.
    """
    try:
        lock = json.loads(content)
        release, control = lock["release"], lock.get("control")
        reference = f"{release['name']}:{release['version']}"
        if control is not None:
            return _parse(lock, control, bundle)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise SealiftError(
            f"lock: is not as sealift lock writes it ({error!r}). Lock and build the release again."
        ) from None
    raise SealiftError(
        f"{reference}: has nothing for a control node, expected `control` in its release file. "
        "Add it, and have the release locked and built again."
    )


def _parse(lock: dict[str, Any], control: dict[str, Any], bundle: str) -> ControlPart:
    release = lock["release"]
    code, requirements = (
        _item("code.tar", control["code"]),
        _item("requirements.txt", control["requirements"]),
    )
    wheels = tuple(_item(wheel["file"], wheel["blob"]) for wheel in control["wheels"])
    listed = "".join(f"{item.hex}  {item.name}\n" for item in (code, requirements, *wheels))
    return ControlPart(
        name=_text(release["name"]),
        version=_text(release["version"]),
        bundle=bundle,
        suite=_text(release["suite"]),
        python=hashlib.sha256(listed.encode()).hexdigest(),
        code=code,
        requirements=requirements,
        wheels=wheels,
        packages=tuple(_package(deb) for deb in lock["packages"] if "control" in deb["groups"]),
    )


def _package(deb: dict[str, Any]) -> Package:
    name = _text(deb["name"])
    return Package(name, _text(deb["version"]), _item(f"{name}.deb", deb["blob"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _item(name: str, blob: dict[str, Any]) -> Item:
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no file name")
    return Item(name, _hex(blob["digest"]), int(blob["size"]))


def _hex(digest: str) -> str:
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ValueError(f"{digest!r} is no digest")
    return match[1]
