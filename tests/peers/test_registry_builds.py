"""Bundles out of a real registry, Debian's, on loopback: with a full cache, an empty one, a rotten one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.bundle.build import build
from sealift.progress import silent
from sealift.release.locked import Lock, LockedImage
from sealift.release.oci import INDEX_TYPES
from sealift.release.registry import Registry
from sealift.release.sources import image_source, model_source
from sealift.release.types import Image
from tests.peers.registry import Peer, mirrors, push_model, serving, skopeo
from tests.peers.relay import relaying
from tests.unit import samples
from tests.unit.samples import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return samples.site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def peer(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A registry with all that the site's release names."""
    with serving(tmp_path_factory.mktemp("registry")) as found:
        for key, path in (("ollama", "ollama/ollama"), ("gateway", "envoyproxy/envoy")):
            archive, tag = site.sources / f"{key}.tar", site.lock.images[key].name.rpartition(":")[2]
            skopeo(f"docker-archive:{archive}", found, f"{path}:{tag}")
        push_model(found, samples.ollama_files(samples.gguf(samples.GEMMA) + bytes(3 << 20)), samples.MODEL)
        yield found


@pytest.fixture
def lock(site: Site, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lock:
    """The site's lock, but out of the registry; the cache has what locking fetched."""
    environment = {"SEALIFT_CACHE": str(tmp_path / "cache"), **mirrors(peer.port)}
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    images = {key: image.name for key, image in site.lock.images.items()}
    wanted = samples.release(images=images, models=[samples.MODEL])
    machine = samples.machine(site.sources, environment)
    return site.lock.model_copy(
        update={
            "release": wanted,
            "images": {key: image_source(image, machine).lock() for key, image in wanted.images.items()},
            "models": {name: model_source(name, m, machine).lock() for name, m in wanted.models.items()},
        }
    )


def test_a_bundle_is_built_out_of_registries(site: Site, lock: Lock, tmp_path: Path) -> None:
    """The same bundle, byte for byte, but for what the lock says of where things come from."""
    info = build(lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert info.blobs > 0
    layers = [blob for image in lock.images.values() for blob in image.layers]
    assert all((tmp_path / "bundle/blobs/sha256" / blob.hex).stat().st_size == blob.size for blob in layers)
    inspected = subprocess.run(
        ["skopeo", "inspect", "--raw", f"oci:{tmp_path}/bundle:{samples.IMAGE}"],
        capture_output=True,
        check=True,
    )
    assert json.loads(inspected.stdout)["config"]["digest"] == lock.images["ollama"].image_id


def test_a_second_build_asks_a_registry_for_nothing(
    site: Site, lock: Lock, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(lock, site.sources, tmp_path / "first", site.key, silent)
    with relaying(peer.port, cut_after=1 << 30, cuts=0) as relay:
        for key, value in mirrors(relay.port).items():
            monkeypatch.setenv(key, value)
        assert build(lock, site.sources, tmp_path / "second", site.key, silent) == first
    assert relay.passed == 0


def test_a_build_with_an_empty_cache_asks_for_a_manifest_once(
    site: Site, lock: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def manifest(registry: Registry, reference: str) -> bytes:
        asked.append(reference)
        time.sleep(0.2)  # while the other parts of the image are opened
        return original(registry, reference)

    original = Registry.manifest
    monkeypatch.setattr(Registry, "manifest", manifest)
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "empty"))
    build(lock, site.sources, tmp_path / "bundle", site.key, silent)
    assert sorted(asked) == sorted(str(image.manifest) for image in lock.images.values())


def _locked_again(name: str, tmp_path: Path, peer: Peer) -> LockedImage:
    """With the cache of the lock before."""
    return image_source(Image(name=name), samples.machine(tmp_path, mirrors(peer.port))).lock()


def _rot(cached: Path, right: bytes, wrong: bytes) -> None:
    content = cached.read_bytes()
    assert right in content
    cached.chmod(0o644)
    cached.write_bytes(content.replace(right, wrong, 1))


def test_a_config_that_rotted_in_the_cache_is_not_pinned(lock: Lock, peer: Peer, tmp_path: Path) -> None:
    locked = lock.images["ollama"]
    _rot(tmp_path / "cache/blobs/sha256" / locked.config.hex, b" ", b"\t")
    assert _locked_again(locked.name, tmp_path, peer) == locked


@pytest.mark.parametrize("content", [b"", b"shorter"])
def test_a_layer_that_rotted_in_the_cache_is_not_pinned(
    lock: Lock, peer: Peer, tmp_path: Path, content: bytes
) -> None:
    locked = lock.images["ollama"]
    cached = tmp_path / "cache/blobs/sha256" / locked.layers[0].hex
    cached.chmod(0o644)
    cached.write_bytes(content)
    assert _locked_again(locked.name, tmp_path, peer) == locked


def test_a_manifest_that_rotted_in_the_cache_is_not_pinned(lock: Lock, peer: Peer, tmp_path: Path) -> None:
    """It is looked for there where an index leads to it."""
    digest = str(lock.images["ollama"].manifest)
    cached = tmp_path / "cache/blobs/sha256" / digest.removeprefix("sha256:")
    media_type = json.loads(cached.read_bytes())["mediaType"]
    entry = {"mediaType": media_type, "digest": digest, "size": cached.stat().st_size}
    peer.push_manifest("ollama/ollama", "index", INDEX_TYPES[0], {"manifests": [entry]})
    _rot(cached, b'"schemaVersion"', b'"schemaversion"')
    assert _locked_again("docker.io/ollama/ollama:index", tmp_path, peer).manifest == digest


def test_a_tag_that_looks_like_a_digest_is_asked_for(
    site: Site, lock: Lock, peer: Peer, tmp_path: Path
) -> None:
    locked = lock.images["ollama"]
    skopeo(f"docker-archive:{site.sources}/ollama.tar", peer, f"ollama/ollama:{locked.config.hex}")
    name = f"docker.io/ollama/ollama:{locked.config.hex}"
    assert _locked_again(name, tmp_path, peer).manifest == locked.manifest
