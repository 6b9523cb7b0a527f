"""Images and models out of registries: pinned by little, fetched when they are built.

A layer is carried as the plain tar that Docker hashes, like one out of `docker save`, and how long that is
stands nowhere but in the layer: locking an image fetches its layers, into the cache that a build takes them
from. Locking a model fetches its manifest and the beginning of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sealift.blob import Blob
from sealift.content import Content, digest_of
from sealift.errors import SealiftError
from sealift.oci.manifest import (
    CONFIG_LIMIT,
    MANIFEST_LIMIT,
    Descriptor,
    Manifest,
    choose,
    parse_manifest,
    read_diff_ids,
)
from sealift.progress import Meter
from sealift.release.locked import LockedImage
from sealift.release.locked_model import LockedModel
from sealift.release.ollama_manifest import LIBRARY, ModelManifest, parse_model, weights_of
from sealift.sources.access import DOCKER_HUB
from sealift.sources.compression import compression
from sealift.sources.gguf import ContextCost, read_context_cost
from sealift.sources.gguf_header import EndsEarlyError
from sealift.sources.ollama_archive import lock_manifest
from sealift.sources.registry import Registry
from sealift.sources.source import BuildMachine, Find
from sealift.threads import at_once

_AT_ONCE = 4  # downloads
_NESTED = 4  # indexes in indexes
_BEGINNING = (
    4 << 20
)  # bytes of weights to look for their header in; four times as many each time it is longer


class RegistryImage:
    """An image in its registry."""

    def __init__(self, name: str, machine: BuildMachine) -> None:
        """Name an image; nothing is asked yet.

        + name: HOST/PATH:TAG

        Raises SealiftError where mirrors or logins are not set as they should be.
        """
        self._name, self._machine = name, machine
        host, _, path = name.rpartition(":")[0].partition("/")
        if host == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        self._registry = Registry(host, path, machine.environment)

    def lock(self) -> LockedImage:
        """Pin the image that its tag stands for now, on linux/amd64.

        Raises SealiftError where it cannot be had or is damaged.
        """
        digest, manifest = self._tagged()
        config = self._read(manifest.config.blob)
        diff_ids = read_diff_ids(config, len(manifest.layers), f"{self._name}: config")
        layers = self._layers(dict(zip(diff_ids, manifest.layers, strict=True)))
        return LockedImage(
            name=self._name,
            manifest=digest,
            config=digest_of(config),
            layers=tuple(Blob(digest=diff_id, size=layers[diff_id].size) for diff_id in diff_ids),
        )

    def open(self, locked: LockedImage) -> Find:
        """Read its manifest, out of the cache or else the registry. Parts are fetched into the cache.

        Raises SealiftError where it cannot be had any more.
        """
        if locked.manifest is None:
            raise SealiftError(f"{self._name}: was not locked from a registry. Run sealift lock again.")
        manifest = self._parse(self._manifest(locked.manifest))
        if not isinstance(manifest, Manifest) or len(manifest.layers) != len(locked.layers):
            raise SealiftError(f"{self._name}: is not what was locked. Run sealift lock again.")
        layers = {blob.digest: layer for blob, layer in zip(locked.layers, manifest.layers, strict=True)}
        return partial(self._find, layers)

    def _find(self, layers: Mapping[str, Descriptor], blob: Blob) -> Content:
        """+ layers: by diff ID."""
        found = self._machine.arrivals.find(blob.digest)
        if found is not None and found.size == blob.size:
            return found
        if blob.digest not in layers:  # the config
            return self._machine.arrivals.keep(self._registry.read(blob, CONFIG_LIMIT))
        descriptor = layers[blob.digest]
        meter = Meter(f"fetching {blob.digest[:19]} of {self._name}", descriptor.size, self._machine.progress)
        return self._layer(blob.digest, descriptor, meter)

    def _tagged(self) -> tuple[str, Manifest]:
        reference = self._name.rpartition(":")[2]
        for _ in range(_NESTED):
            content = self._manifest(reference)
            found = self._parse(content)
            if isinstance(found, Manifest):
                return digest_of(content).digest, found
            reference = choose(found, self._name, self._name).digest
        raise SealiftError(f"{self._name}: leads from index to index. Push the image again.")

    def _layers(self, wanted: dict[str, Descriptor]) -> dict[str, Content]:
        """Fetch layers by diff ID, several at once."""
        missing = [
            layer.size for diff_id, layer in wanted.items() if not self._machine.arrivals.find(diff_id)
        ]
        meter = Meter(f"fetching {self._name}", sum(missing), self._machine.progress)
        found = at_once(lambda item: self._layer(*item, meter), wanted.items(), _AT_ONCE, meter)
        return dict(zip(wanted, found, strict=True))

    def _layer(self, diff_id: str, layer: Descriptor, meter: Meter) -> Content:
        arrivals, where = self._machine.arrivals, f"{self._name}: layer {layer.digest}"
        fetch = partial(arrivals.download, layer.blob, self._registry.reader(layer.digest), where, meter.add)
        found = arrivals.whole(diff_id, self._machine.progress)
        if found is None:
            is_plain = layer.digest == diff_id
            found = fetch() if is_plain else arrivals.unpack(fetch, diff_id, where, keep=False)
        if compression(found) is not None:
            raise SealiftError(f"{where}: is compressed, but its config names it. Push the image again.")
        return found

    def _manifest(self, reference: str) -> bytes:
        kept = self._kept(reference, MANIFEST_LIMIT) if reference.startswith("sha256:") else None
        if kept is not None:
            return kept
        content = self._registry.manifest(reference)
        self._machine.arrivals.keep(content)
        return content

    def _parse(self, content: bytes) -> Manifest | tuple[Descriptor, ...]:
        return parse_manifest(content, f"{self._name}: manifest")

    def _read(self, blob: Blob) -> bytes:
        kept = self._kept(blob.digest, CONFIG_LIMIT)
        if kept is not None:
            return kept
        content = self._registry.read(blob, CONFIG_LIMIT)
        self._machine.arrivals.keep(content)
        return content

    def _kept(self, digest: str, limit: int) -> bytes | None:
        """What the cache has under a digest, if it is small."""
        found = self._machine.arrivals.whole(digest, self._machine.progress)
        return None if found is None or found.size > limit else b"".join(found.chunks())


class RegistryModel:
    """A model in Ollama's registry."""

    def __init__(self, name: str, machine: BuildMachine) -> None:
        """Name a model; nothing is asked yet.

        + name: MODEL:TAG

        Raises SealiftError where mirrors or logins are not set as they should be.
        """
        self._name, self._machine = name, machine
        host, _, namespace = LIBRARY.partition("/")
        self._registry = Registry(host, f"{namespace}/{name.partition(':')[0]}", machine.environment)

    def lock(self) -> LockedModel:
        """Pin the model that its tag stands for now.

        Raises SealiftError where it cannot be had, or is none that Ollama runs.
        """
        manifest = self._tagged()
        weights = weights_of(manifest, self._name)
        count = _BEGINNING
        while True:
            try:
                cost = self._cost(
                    self._machine.arrivals.beginning(
                        weights, count, self._registry.reader(weights.digest), self._name
                    )
                )
            except EndsEarlyError:
                if count >= weights.size:
                    raise
                count *= 4
            else:
                return lock_manifest(manifest, cost, None)

    def open(self, locked: LockedModel) -> Find:
        """The lock says all that is needed. Blobs are fetched into the cache."""
        return partial(self._find, locked)

    def _find(self, locked: LockedModel, blob: Blob) -> Content:
        """Raises SealiftError where it cannot be had any more, or the beginning that was locked was a lie."""
        meter = Meter(f"fetching {blob.digest[:19]} of {self._name}", blob.size, self._machine.progress)
        reader = self._registry.reader(blob.digest)
        content = self._machine.arrivals.download(blob, reader, self._name, meter.add)
        if blob.digest == weights_of(ModelManifest(locked.config, locked.layers), self._name).digest:
            cost = self._cost(content)
            if cost != ContextCost(locked.shape, locked.context_length):
                raise SealiftError(
                    f"{self._name}: its header is not what was locked. Run sealift lock again."
                )
        return content

    def _tagged(self) -> ModelManifest:
        return parse_model(self._registry.manifest(self._name.partition(":")[2]), f"{self._name}: manifest")

    def _cost(self, weights: Content) -> ContextCost:
        return read_context_cost(weights, self._name)
