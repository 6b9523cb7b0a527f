"""The lock as a file: one canonical form, so that equal locks are equal bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pydantic import ValidationError

from sealift import mistakes
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json, read_limited
from sealift.release.locked import Lock, LockedWheel
from sealift.release.locked_model import PARAMETERS, WEIGHTS, LockedModel
from sealift.release.parameters import parse_parameters
from sealift.release.roles import wrong_kinds
from sealift.release.values import MOST_NAMED
from sealift.services import SERVICES

LOCK_LIMIT = 64 << 20  # bytes; a package takes about 2,000 of them


def load_lock(path: Path) -> Lock:
    """Read a lock.

    Raises SealiftError where it is not one that `sealift lock` wrote.
    """
    return parse_lock(read_limited(path, LOCK_LIMIT), str(path))


def parse_lock(content: bytes, where: str) -> Lock:
    """Parse a lock's bytes.

    + where: what it is, for messages

    Raises SealiftError with a line per mistake.
    """
    try:
        lock = Lock.model_validate(parse_json(content, where, keys=MOST_NAMED))
    except ValidationError as error:
        raise _refused(where, mistakes.every(error)) from None
    if found := list(_cross_checks(lock)):
        raise _refused(where, found)
    return lock


def _refused(where: str, found: list[str]) -> SealiftError:
    return SealiftError(
        "\n".join(f"{where}: {mistake}. Make it again with sealift lock." for mistake in found)
    )


def _cross_checks(lock: Lock) -> Iterator[str]:
    """What no single key shows: whether all parts speak of one release."""
    release = lock.release
    named = Counter(package.name for package in lock.packages)
    yield from (f"packages: {name} stands there twice" for name in sorted(named) if named[name] > 1)
    keyed = {name for name, source in release.packages.sources.items() if source.key is not None}
    if lock.keys.keys() != keyed:
        yield f"keys: has {_listed(lock.keys)}, the release {_listed(keyed)}"
    for package in lock.packages:
        if package.source not in release.packages.sources:
            yield f"packages: {package.name} is of {package.source}, which is no source of the release"
    required = {service.image_name for service in SERVICES if service.required}
    for key in sorted(required | lock.images.keys() | release.images.keys()):
        if key not in lock.images or key not in release.images:
            yield f"images: {key} is missing"
        elif lock.images[key].name != release.images[key].name:
            yield f"images: {key} is {lock.images[key].name}, the release has {release.images[key].name}"
    if lock.models.keys() != release.models.keys():
        yield f"models: has {', '.join(sorted(lock.models))}, the release {', '.join(sorted(release.models))}"
    if lock.files.keys() != release.files.keys():
        yield f"files: has {', '.join(sorted(lock.files))}, the release {', '.join(sorted(release.files))}"
    for name, model in lock.models.items():
        if not any(layer.media_type == WEIGHTS for layer in model.layers):
            yield f"models: {name} has no weights"
        if name in release.merged_models and not _knows_parameters(model):
            yield f"models: {name} has parameters that are not those of its layer"
    if (lock.control is None) != (release.control is None):
        yield "control: stands in one of the lock and its release only"
    wheels = () if lock.control is None else lock.control.wheels
    for wheel in wheels:
        if not _is_file_of(wheel):
            yield f"control: {wheel.file} is no wheel of {wheel.name} {wheel.version}"
    named = Counter(wheel.name for wheel in wheels)
    yield from (f"control: {name} stands there twice" for name in sorted(named) if named[name] > 1)
    for name, role in release.roles.items():
        missing = [candidate for candidate in role.candidates if candidate not in lock.models]
        yield from (f"roles: {name} is played by {candidate}, which is missing" for candidate in missing)
        if len(set(role.candidates)) < len(role.candidates):
            yield f"roles: {name} has a model twice"
        for candidate in role.candidates:
            if role.threads != release.threads_of(candidate):
                yield f"roles: {name} has other threads than the first role of {candidate}"
    yield from wrong_kinds(release, lock.models)


def _knows_parameters(model: LockedModel) -> bool:
    """Whether it has the content of its layer of parameters, if it has one, and that can be read."""
    found = [layer.digest for layer in model.layers if layer.media_type == PARAMETERS]
    if model.parameters is None:
        return not found
    try:
        parse_parameters(model.parameters, "")
    except SealiftError:
        return False
    return found == [digest_of(model.parameters.encode()).digest]


def _is_file_of(wheel: LockedWheel) -> bool:
    """Whether pip will see in the file's name what the lock says."""
    try:
        name, version, _, _ = parse_wheel_filename(wheel.file)
        return (name, version) == (wheel.name, Version(wheel.version))
    except (InvalidWheelFilename, InvalidVersion):
        return False


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def dump_lock(lock: Lock) -> bytes:
    """The lock's bytes: sorted keys, one space of indent, a newline at the end."""
    return canonical_json(lock.model_dump(mode="json"), indent=1)
