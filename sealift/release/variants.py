"""What Ollama has under a name: a model, with what a role has of its own in place of the model's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sealift.blob import Blob
from sealift.content import digest_of
from sealift.release.go_json import Value
from sealift.release.locked_model import PARAMETERS, SYSTEM, LockedModel, ModelLayer
from sealift.release.ollama_manifest import ModelManifest
from sealift.release.parameters import merged_parameters
from sealift.release.role import Role


@dataclass(frozen=True)
class Variant:
    """A model under a name.

    + made: by their layers, the texts that are not the model's own
    """

    manifest: ModelManifest
    made: Mapping[ModelLayer, bytes] = field(default_factory=dict)

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """What its manifest names."""
        return self.manifest.blobs


def variant_of(model: LockedModel, threads: int | None, role: Role | None) -> Variant:
    """A model as Ollama is to have it: as `ollama create` makes it of one, but for the config, which stays.

    + threads: with which it is loaded, by whatever name
    + role: under whose name; None under its own
    """
    own: dict[str, Value] = {**role.parameters.given} if role else {}
    if threads is not None:
        own["num_thread"] = threads
    layers, made = model.layers, {}
    for kind, content in _texts(model, role.system if role else "", own):
        blob = digest_of(content)
        layer = ModelLayer(digest=blob.digest, size=blob.size, media_type=kind)
        layers = (*(other for other in layers if other.media_type != kind), layer)
        made[layer] = content
    return Variant(ModelManifest(model.config, layers), made)


def _texts(model: LockedModel, system: str, own: Mapping[str, Value]) -> Iterator[tuple[str, bytes]]:
    if system:
        yield SYSTEM, system.encode()
    if own:
        yield PARAMETERS, merged_parameters(model.parameters, own)
