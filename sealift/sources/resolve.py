"""From a release file to a lock: every kind of source is asked, and all that is wrong is told at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from packaging.version import Version

from sealift.blobs import BlobStore
from sealift.cache import cache_folder
from sealift.content import verified
from sealift.dpkg import is_older
from sealift.errors import SealiftError
from sealift.progress import Progress
from sealift.release.catalogue import oldest_ollama, ollama_version
from sealift.release.locked import Lock, LockedFile, LockedImage, LockedPackage
from sealift.release.locked_model import PARAMETERS, LockedModel
from sealift.release.parameters import PARAMETERS_LIMIT, parse_parameters
from sealift.release.roles import wrong_kinds
from sealift.release.types import File, Image, Model, Release
from sealift.services import OLLAMA
from sealift.sources.apt import lock_packages
from sealift.sources.apt_sources import key_digests, read_keys
from sealift.sources.control import lock_control
from sealift.sources.kinds import file_source, image_source, model_source
from sealift.sources.source import BuildMachine, Source
from sealift.threads import at_once

_AT_ONCE = 4  # downloads, or files that are hashed
# Since these versions an engine knows CDI (Docker's release notes, 25.0) and Compose is its plugin.
_OLDEST = {"docker-ce": "5:25", "docker.io": "25", "docker-compose": "2"}
_Asked = ParamSpec("_Asked")
_Found = TypeVar("_Found")


def resolve(release: Release, sources: Path, progress: Progress, project: Path = Path()) -> Lock:
    """Pin everything that a release names.

    + sources: the folder that paths in the release are relative to
    + project: folder of the deployment code, for the control node
    + progress: told of bytes hashed

    Raises SealiftError with a line per mistake.
    """
    machine = BuildMachine.of(os.environ, sources, progress)
    contents, mistakes = lock_contents(release, machine)

    def attempt(find: Callable[_Asked, _Found], *args: _Asked.args, **kwargs: _Asked.kwargs) -> _Found | None:
        try:
            return find(*args, **kwargs)
        except SealiftError as error:
            mistakes.append(str(error))
            return None

    mistakes += _roles_that_ask_too_much(release, contents.models)
    mistakes += _models_that_are_too_new(release, contents.models)
    mistakes += [f"{wrong}. Move them to another role." for wrong in wrong_kinds(release, contents.models)]
    progress("asking apt for the packages and what they depend on", 0, 0)
    keys = attempt(read_keys, release, sources)
    packages = None if keys is None else attempt(lock_packages, release, machine, keys)
    mistakes += packages_that_are_too_old(packages or ())
    cache = BlobStore(cache_folder(os.environ))
    control = attempt(lock_control, release, project, cache, progress)
    if mistakes or packages is None or keys is None:
        raise SealiftError("\n".join(mistakes))
    return Lock(
        release=release,
        keys=key_digests(keys),
        packages=packages,
        images=contents.images,
        models=contents.models,
        control=control,
        files=contents.files,
    )


@dataclass(frozen=True)
class Contents:
    """Images, models and files that could be pinned, by their keys in the release."""

    images: dict[str, LockedImage]
    models: dict[str, LockedModel]
    files: dict[str, LockedFile]


def lock_contents(release: Release, machine: BuildMachine) -> tuple[Contents, list[str]]:
    """Pin images, models and files, several at once; and what is wrong with the others, in their order."""
    images: dict[str, LockedImage] = {}
    models: dict[str, LockedModel] = {}
    files: dict[str, LockedFile] = {}

    def pin_image(key: str, wanted: Image) -> None:
        images[key] = image_source(wanted, machine).lock()

    def pin_model(name: str, wanted: Model) -> None:
        source = model_source(name, wanted, machine)
        models[name] = source.lock()
        if name in release.merged_models:
            models[name] = _with_parameters(name, models[name], source)

    def pin_file(name: str, wanted: File) -> None:
        files[name] = file_source(name, wanted, machine).lock()

    def mistake(step: Callable[[], None]) -> str | None:
        try:
            step()
        except SealiftError as error:
            return str(error)
        return None

    steps = [
        *(partial(pin_image, *item) for item in sorted(release.images.items())),
        *(partial(pin_model, *item) for item in sorted(release.models.items())),
        *(partial(pin_file, *item) for item in sorted(release.files.items())),
    ]
    wrong = [said for said in at_once(mistake, steps, _AT_ONCE) if said is not None]
    return Contents(_sorted(images), _sorted(models), _sorted(files)), wrong


def _with_parameters(name: str, locked: LockedModel, source: Source[LockedModel]) -> LockedModel:
    """The same with its parameters, as roles change some of them."""
    layers = [layer for layer in locked.layers if layer.media_type == PARAMETERS]
    if not layers:
        return locked
    if len(layers) > 1 or layers[0].size > PARAMETERS_LIMIT:
        raise SealiftError(
            f"models.{name}: has more than one layer of parameters, or more than {PARAMETERS_LIMIT} bytes of "
            "them, which roles cannot change. Name another model for roles with parameters."
        )
    (layer,) = layers
    content = b"".join(verified(source.open(locked)(layer), layer, name))
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SealiftError(f"models.{name}: parameters: are not UTF-8. Make the model again.") from None
    parse_parameters(text, f"models.{name}: parameters")
    return locked.model_copy(update={"parameters": text})


def _sorted(found: dict[str, _Found]) -> dict[str, _Found]:
    return {key: found[key] for key in sorted(found)}


def _roles_that_ask_too_much(release: Release, models: dict[str, LockedModel]) -> list[str]:
    return [
        f"roles.{name}.context: {role.context} tokens, but {model} was trained for "
        f"{models[model].context_length}. Ask for that at most."
        for name, role in sorted(release.roles.items())
        for model in role.candidates
        if model in models and role.context > models[model].context_length
    ]


def _models_that_are_too_new(release: Release, models: dict[str, LockedModel]) -> list[str]:
    """By the image's tag: where that is no version, nothing is known."""
    image = release.images[OLLAMA.name].name
    have = ollama_version(image.rpartition(":")[2])
    if have is None:
        return []
    oldest = {name: oldest_ollama(name, model.shape.architecture) for name, model in sorted(models.items())}
    return [
        f"models.{name}: {models[name].shape.architecture} needs Ollama {needed} or newer, "
        f"images.ollama is {image}. Take a newer one, or another model."
        for name, needed in oldest.items()
        if needed and have < Version(needed)
    ]


def packages_that_are_too_old(packages: tuple[LockedPackage, ...]) -> list[str]:
    """A line for each package of Docker's that hosts cannot be run with, whatever suite it is of."""
    return [
        f"packages: {package.name} {package.version} is too old, expected {_OLDEST[package.name]} or newer. "
        "Take Docker's own packages: docs/sources.md has the release for it."
        for package in packages
        if package.name in _OLDEST and is_older(package.version, _OLDEST[package.name])
    ]
