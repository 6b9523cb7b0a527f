"""What differs between two locks: settings, parts of the release, what starts the control node, and blobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from sealift.blob import Blob
from sealift.files import canonical_json
from sealift.release.locked import CODE, REQUIREMENTS, Lock, LockedImage, LockedPackage, LockedWheel
from sealift.release.locked_model import LockedModel
from sealift.release.role import Role
from sealift.release.types import File
from sealift.release.values import Frozen

Kind = Literal["release", "package", "image", "model", "role", "file", "wheel", "code"]

_Item = TypeVar("_Item", bound=Frozen)
_SHORT = 12  # hexadecimal digits of a digest, as Docker shows them
_PARTS = ("packages", "images", "models", "roles", "files", "control")  # of a release, compared one by one


@dataclass(frozen=True)
class Change:
    """One thing that differs: what it was and is, None where it was or is not there."""

    kind: Kind
    name: str
    before: str | None
    after: str | None
    size_before: int = 0  # bytes
    size_after: int = 0

    @property
    def what(self) -> Literal["added", "removed", "changed"]:
        """How it differs."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"


@dataclass(frozen=True)
class Changes:
    """All that differs between two locks."""

    changes: tuple[Change, ...]
    carry: tuple[Blob, ...]  # blobs that only the second one has
    drop: tuple[Blob, ...]  # blobs that only the first one has

    @property
    def carry_size(self) -> int:
        """Bytes that a site lacks which has the first one."""
        return sum(blob.size for blob in self.carry)

    @property
    def drop_size(self) -> int:
        """Bytes that nothing of the second one needs."""
        return sum(blob.size for blob in self.drop)


def compare(before: Lock, after: Lock) -> Changes:
    """What differs, in one order: settings, packages, images, models, roles, files, wheels, code."""
    old, new = ({blob.digest: blob for blob in lock.blobs} for lock in (before, after))
    return Changes(
        changes=(*_settings(before, after), *_items(before, after)),
        carry=tuple(blob for digest, blob in sorted(new.items()) if digest not in old),
        drop=tuple(blob for digest, blob in sorted(old.items()) if digest not in new),
    )


def _items(before: Lock, after: Lock) -> Iterator[Change]:
    yield from _differences("package", _packages(before), _packages(after), _package_text, _package_blobs)
    yield from _differences("image", before.images, after.images, _image_text, _image_blobs)
    yield from _differences("model", before.models, after.models, _model_text, _model_blobs)
    yield from _differences("role", before.release.roles, after.release.roles, _role_text, lambda _: ())
    yield from _differences("file", _files(before), _files(after), _file_text, lambda file: (file.blob,))
    yield from _differences("wheel", _wheels(before), _wheels(after), _wheel_text, _wheel_blobs)
    yield from _differences("code", _code(before), _code(after), _code_text, lambda blob: (blob,))


def _differences(
    kind: Kind,
    before: Mapping[str, _Item],
    after: Mapping[str, _Item],
    text: Callable[[_Item], str],
    blobs: Callable[[_Item], tuple[Blob, ...]],
) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Change(
                kind,
                name,
                None if old is None else text(old),
                None if new is None else _told_apart(old, new, text),
                0 if old is None else sum(blob.size for blob in blobs(old)),
                0 if new is None else sum(blob.size for blob in blobs(new)),
            )


def _told_apart(old: _Item | None, new: _Item, text: Callable[[_Item], str]) -> str:
    """What it is now, with the fields that differ where that would read the same."""
    if old is None or text(old) != text(new):
        return text(new)
    fields = [name for name in type(new).model_fields if getattr(old, name) != getattr(new, name)]
    return f"{text(new)}, other {', '.join(fields)}"


def _settings(before: Lock, after: Lock) -> Iterator[Change]:
    old, new = (dict(_setting_texts(lock)) for lock in (before, after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield Change("release", name, old.get(name), new.get(name))


def _setting_texts(lock: Lock) -> Iterator[tuple[str, str]]:
    release = lock.release.model_dump(mode="json")
    yield from ((name, _text(value)) for name, value in release.items() if name not in _PARTS)
    for part in ("packages", "control"):
        yield from ((f"{part}.{name}", _text(value)) for name, value in release.get(part, {}).items())
    yield from ((f"key of packages.sources.{name}", digest) for name, digest in lock.keys.items())


def _text(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()


def _packages(lock: Lock) -> dict[str, LockedPackage]:
    return {package.name: package for package in lock.packages}


def _package_text(package: LockedPackage) -> str:
    return package.version


def _package_blobs(package: LockedPackage) -> tuple[Blob, ...]:
    return (package.blob,)


def _image_text(image: LockedImage) -> str:
    return f"{image.name} {image.config.hex[:_SHORT]}"


def _image_blobs(image: LockedImage) -> tuple[Blob, ...]:
    return (image.config, *image.layers)


def _model_text(model: LockedModel) -> str:
    return model.manifest.hex[:_SHORT]


def _model_blobs(model: LockedModel) -> tuple[Blob, ...]:
    return (model.manifest, *model.blobs)


def _role_text(role: Role) -> str:
    golden = {name: len(questions) for name in ("questions", "pairs") if (questions := getattr(role, name))}
    more = role.model_dump(mode="json", exclude={"model", *golden}, exclude_defaults=True) | golden
    return " ".join((role.model, *(f"{name}={_text(value)}" for name, value in more.items())))


def _wheels(lock: Lock) -> dict[str, LockedWheel]:
    return {} if lock.control is None else {wheel.name: wheel for wheel in lock.control.wheels}


def _wheel_text(wheel: LockedWheel) -> str:
    return wheel.version


def _wheel_blobs(wheel: LockedWheel) -> tuple[Blob, ...]:
    return (wheel.blob,)


def _code(lock: Lock) -> dict[str, Blob]:
    """The deployment code and its requirements, as a bundle titles them."""
    found = lock.control
    return {} if found is None else {CODE: found.code, REQUIREMENTS: found.requirements}


def _code_text(blob: Blob) -> str:
    return blob.hex[:_SHORT]


class _PlacedFile(Frozen):
    """A file with where it goes, which the release says and not the lock."""

    blob: Blob
    file: File


def _files(lock: Lock) -> dict[str, _PlacedFile]:
    return {name: _PlacedFile(blob=it.blob, file=lock.release.files[name]) for name, it in lock.files.items()}


def _file_text(placed: _PlacedFile) -> str:
    return f"{placed.file.target} {placed.file.mode} {placed.file.group} {placed.blob.hex[:_SHORT]}"
