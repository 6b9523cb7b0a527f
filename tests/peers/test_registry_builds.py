"""Bundles out of a real registry, Debian's, on loopback: with a full cache, an empty one, a rotten one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.bundle.build import build
from sealift.errors import SealiftError
from sealift.oci.manifest import INDEX_TYPES
from sealift.progress import silent
from sealift.release.locked import Lock, LockedImage
from sealift.release.types import Image
from sealift.sources.kinds import image_source, model_source
from sealift.sources.registry import Registry
from sealift.sources.resolve import lock_contents
from tests.peers.front import Answer, Asked, fronting
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


class _Together:
    """Has the registry answer certain questions only once two of them are asked at the same time."""

    def __init__(self, is_meant: Callable[[str], bool]) -> None:
        self._is_meant, self._waiting = is_meant, 0
        self._guard, self._opened = threading.Lock(), threading.Event()

    def __call__(self, asked: Asked) -> Answer | None:
        if not self._is_meant(asked.path):
            return None
        with self._guard:
            self._waiting += 1
            if self._waiting == 2:
                self._opened.set()
        return None if self._opened.wait(10) else Answer(404)


def _is_layer(lock: Lock) -> Callable[[str], bool]:
    configs = {image.config.digest for image in lock.images.values()}
    return lambda path: "/blobs/" in path and path.rpartition("/")[2] not in configs


def test_a_lock_and_a_build_ask_for_several_layers_at_once(
    site: Site, lock: Lock, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = lock.images["ollama"]
    with fronting(peer.port, _Together(_is_layer(lock))) as front:
        machine = samples.machine(tmp_path / "empty", mirrors(front.port))
        assert image_source(Image(name=image.name), machine).lock() == image
    with fronting(peer.port, _Together(_is_layer(lock))) as front:
        for key, value in {**mirrors(front.port), "SEALIFT_CACHE": str(tmp_path / "empty too")}.items():
            monkeypatch.setenv(key, value)
        build(lock, site.sources, tmp_path / "bundle", site.key, silent)


def test_a_lock_asks_for_several_images_and_models_at_once(lock: Lock, peer: Peer, tmp_path: Path) -> None:
    """Both images have a layer in common, which is fetched once, and both find it."""
    together = _Together(lambda path: "/manifests/" in path)

    def decide(asked: Asked) -> Answer | None:
        if "/blobs/" in asked.path:
            time.sleep(0.3)  # both images want the same layer meanwhile
        return together(asked)

    with fronting(peer.port, decide) as front:
        found, mistakes = lock_contents(
            lock.release, samples.machine(tmp_path / "empty", mirrors(front.port))
        )
    assert mistakes == []
    assert (found.images, found.models) == (lock.images, lock.models)
    layers = [asked.path.rpartition("/")[2] for asked in front.asked if _is_layer(lock)(asked.path)]
    assert len(layers) == len(set(layers)) == 3 + 1  # of the model, the beginning of its weights


def test_mistakes_are_told_in_order_whichever_comes_first(lock: Lock, peer: Peer, tmp_path: Path) -> None:
    def decide(asked: Asked) -> Answer | None:
        if "envoy" in asked.path:
            time.sleep(1)
        return Answer(404) if "/manifests/" in asked.path else None

    with fronting(peer.port, decide) as front:
        _, mistakes = lock_contents(lock.release, samples.machine(tmp_path / "empty", mirrors(front.port)))
    assert [mistake.split(": ")[1].partition("/manifests")[0] for mistake in mistakes] == [
        "envoyproxy/envoy",
        "ollama/ollama",
        "library/tiny",
    ]


def _answering_first(*answers: Answer) -> Callable[[Asked], Answer | None]:
    """About manifests, these; then the registry answers."""
    left = list(answers)
    return lambda asked: left.pop(0) if left and "/manifests/" in asked.path else None


def test_a_busy_registry_is_asked_again_after_longer_and_longer_pauses(
    lock: Lock, peer: Peer, tmp_path: Path
) -> None:
    busy = _answering_first(Answer(503), Answer(503), Answer(429, {"Retry-After": "2"}))
    image = lock.images["ollama"]
    with fronting(peer.port, busy) as front:
        machine = samples.machine(tmp_path / "empty", mirrors(front.port))
        assert image_source(Image(name=image.name), machine).lock() == image
    first, second, third = front.gaps("/manifests/")
    assert first >= 0.25 and second >= 0.5
    assert third >= 2  # as it asked for; one second would have been its turn


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(lock: Lock, peer: Peer, tmp_path: Path) -> None:
    with fronting(peer.port, lambda _: Answer(429, {"Retry-After": "3600"})) as front:
        machine = samples.machine(tmp_path / "empty", mirrors(front.port))
        with pytest.raises(SealiftError, match=r"is answered with HTTP 429. Try again later"):
            image_source(Image(name=lock.images["ollama"].name), machine).lock()
    assert len(front.asked) == 1


def test_a_manifest_that_is_cut_off_is_asked_for_again_after_a_pause(
    lock: Lock, peer: Peer, tmp_path: Path
) -> None:
    cut = Answer(200, {"Content-Length": "1000"}, b"{")
    image = lock.images["ollama"]
    with fronting(peer.port, _answering_first(cut, cut)) as front:
        machine = samples.machine(tmp_path / "empty", mirrors(front.port))
        assert image_source(Image(name=image.name), machine).lock() == image
    first, second = front.gaps("/manifests/")
    assert first >= 0.25 and second >= 0.5


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_lock_that_waits_for_several_answers_ends_when_it_is_told_to(
    lock: Lock, peer: Peer, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    ended = threading.Event()

    def decide(_: Asked) -> Answer:
        ended.wait(60)
        return Answer(503)

    release = tmp_path / "release.yaml"
    release.write_text(lock.release.model_dump_json(exclude_defaults=True, by_alias=True))
    with fronting(peer.port, decide) as front:
        environment = {**os.environ, **mirrors(front.port), "SEALIFT_CACHE": str(tmp_path / "empty")}
        command = (Path(sys.executable).with_name("sealift"), "lock", release)
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                end = time.monotonic() + 30
                while len(front.asked) < 3 and time.monotonic() < end:
                    time.sleep(0.05)
                process.send_signal(sent)
                _, said = process.communicate(timeout=10)
            finally:
                process.kill()
                ended.set()
    assert len(front.asked) == 3
    assert (process.returncode, said.splitlines()[0].partition(":")[0]) == (code, "interrupted")
