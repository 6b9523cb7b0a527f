"""Models made of a GGUF file and a Modelfile: what `ollama create` makes of them, without Ollama.

Sources: createModel and what it calls in server/create.go, ConfigV2 in server/images.go and HumanNumber in
format/format.go of github.com/ollama/ollama v0.11.4. The manifest alone differs: Ollama notes in it, beside
the weights, where they came from on that machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from sealift.blob import Blob
from sealift.content import Content, digest_of, hash_content
from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.progress import Meter
from sealift.release.go_json import go_line
from sealift.release.locked_model import WEIGHTS, LockedModel, ModelLayer
from sealift.release.ollama_manifest import ModelManifest, weights_of
from sealift.release.parameters import merged_parameters
from sealift.sources.gguf import Description, read_context_cost, read_description
from sealift.sources.modelfile import LIMIT, Modelfile, parse_modelfile
from sealift.sources.ollama_archive import lock_manifest
from sealift.sources.source import BuildMachine, Find

_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.ollama.image."


@dataclass(frozen=True)
class _Ingredients:
    """What a model is made of."""

    weights: Content
    modelfile: Modelfile
    description: Description

    def make(self, weights: Blob) -> tuple[ModelManifest, dict[str, bytes]]:
        """The manifest, and by digest what it names beside the weights.

        + weights: what they are hashed to
        """
        made: dict[str, bytes] = {}

        def layer(media_type: str, content: bytes) -> ModelLayer:
            blob = digest_of(content)
            made[blob.digest] = content
            return ModelLayer(digest=blob.digest, size=blob.size, media_type=media_type)

        first = ModelLayer(digest=weights.digest, size=weights.size, media_type=WEIGHTS)
        rest = (layer(f"{_LAYER}{kind}", content) for kind, content in _layers(self.modelfile))
        layers = (first, *rest)
        return ModelManifest(layer(_CONFIG, _config(self.description, layers)), layers), made


class MadeModel:
    """A model that a Modelfile describes."""

    def __init__(self, name: str, path: str, machine: BuildMachine) -> None:
        """Name a model; nothing is read yet.

        + name: MODEL:TAG
        + path: of the Modelfile, below the machine's sources
        """
        self._name, self._path, self._machine = name, path, machine

    def lock(self) -> LockedModel:
        """Hash the weights, and make the rest in memory.

        Raises SealiftError with a line per mistake of the Modelfile, or where the weights cannot be taken as
        they are.
        """
        read = self._read()
        meter = Meter(f"hashing {read.weights.path.name}", read.weights.size, self._machine.progress)
        manifest, _ = read.make(hash_content(read.weights, meter.add))
        return lock_manifest(manifest, read_context_cost(read.weights, str(read.weights.path)), self._path)

    def open(self, locked: LockedModel) -> Find:
        """Make it again in memory, but for the weights, which are the .gguf file itself.

        Raises SealiftError where this is not what was locked.
        """
        wanted = ModelManifest(locked.config, locked.layers)
        read = self._read()
        manifest, made = read.make(weights_of(wanted, self._name))
        if manifest != wanted:
            raise SealiftError(
                f"{self._where}: it or its .gguf is not what was locked. Run sealift lock again."
            )

        def find(blob: Blob) -> Content:
            return self._machine.arrivals.keep(made[blob.digest]) if blob.digest in made else read.weights

        return find

    def _read(self) -> _Ingredients:
        path = Content.of_file(self._machine.below(self._path, self._where)).path
        modelfile = parse_modelfile(read_limited(path, LIMIT), self._where)
        weights = self._weights(modelfile.source)
        return _Ingredients(weights, modelfile, self._description(weights, modelfile))

    def _description(self, weights: Content, modelfile: Modelfile) -> Description:
        found = read_description(weights, str(weights.path))
        if found.is_part:
            raise SealiftError(
                f"{weights.path}: is an adapter or an image encoder, which is not built here. "
                "Name a whole model."
            )
        if found.has_chat_template and not (modelfile.template and "stop" in modelfile.parameters):
            raise SealiftError(
                f"{self._where}: its .gguf has a chat template, by which Ollama would choose a template and "
                "stop words of its own; that is not built here. Write TEMPLATE and PARAMETER stop into it."
            )
        return found

    def _weights(self, name: str) -> Content:
        """The file that FROM names."""
        if not name or name.startswith(("/", "~", "\\")):
            raise SealiftError(
                f"{self._where}: FROM {name[:80]!r} is no relative path. "
                "Name a .gguf file below the sources folder, relative to the Modelfile."
            )
        path = self._machine.below(os.path.normpath(PurePosixPath(self._path).parent / name), self._where)
        if not os.path.lexists(path):
            raise SealiftError(
                f"{self._where}: FROM {name[:80]!r}: there is no such file beside it, and a model made from "
                "another model is not built here. Name a .gguf file, relative to the Modelfile."
            )
        if path.is_dir() or path.suffix == ".safetensors":
            raise SealiftError(
                f"{self._where}: FROM {name[:80]!r}: a folder or safetensors would have to be converted, "
                "which is not done here. Convert it to a .gguf file."
            )
        return Content.of_file(path)

    @property
    def _where(self) -> str:
        return str(self._machine.sources / self._path)


def _layers(modelfile: Modelfile) -> Iterator[tuple[str, bytes]]:
    """Kinds and contents of all layers but the weights, in Ollama's order."""
    if modelfile.template:
        yield "template", modelfile.template.encode()
    if modelfile.system:
        yield "system", modelfile.system.encode()
    for licence in modelfile.licences:
        yield "license", licence.encode()
    if modelfile.parameters:
        yield "params", merged_parameters(None, modelfile.parameters)
    if modelfile.messages:
        yield "messages", go_line([{"role": role, "content": text} for role, text in modelfile.messages])


def _config(description: Description, layers: tuple[ModelLayer, ...]) -> bytes:
    return go_line(
        {
            "model_format": "gguf",
            "model_family": description.family,
            "model_families": [description.family],
            "model_type": _human(description.parameters),
            "file_type": description.file_type,
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        }
    )


def _human(number: int) -> str:
    for unit, letter, decimals in ((10**9, "B", 1), (10**6, "M", 2)):
        if number >= unit:
            return f"{number / unit:.{0 if number % unit == 0 else decimals}f}{letter}"
    return f"{number / 1000:.0f}K" if number >= 1000 else str(number)
