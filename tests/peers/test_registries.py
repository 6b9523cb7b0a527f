"""Images and models out of a real registry: Debian's, on loopback, filled by skopeo and by hand."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from sealift.content import Content, digest_of
from sealift.errors import SealiftError
from sealift.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from sealift.release.locked import LockedImage
from sealift.release.types import Image, Model
from sealift.sources.kinds import image_source, model_source
from tests.peers.front import Answer, Asked, Front, fronting
from tests.peers.registry import Peer, mirrors, push_model, serving, skopeo
from tests.peers.relay import relaying
from tests.peers.tokens import ISSUER, SERVICE, Issuer, issuing
from tests.unit import samples

PASSWORD = "correct horse"  # noqa: S105 - of a registry that lives as long as these tests
NAME = "docker.io/acme/tool:1.0"
OCI = MANIFEST_TYPES[0]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with serving(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image as `docker save` has it, with a layer that compresses and one that does not."""
    path = tmp_path_factory.mktemp("saved") / "image.tar"
    layers = [samples.layer(b"text " * 1_000_000), samples.layer(os.urandom(3 << 20))]
    samples.tar(path, samples.docker_files(layers, NAME))
    return path


@pytest.fixture
def expected(saved: Path) -> LockedImage:
    return samples.lock_image(Image(name=NAME, archive=saved.name), saved.parent)


def _fetched(tmp_path: Path, name: str, environment: dict[str, str]) -> LockedImage:
    """Lock an image with an empty cache, and read every part of it without the registry."""
    machine = samples.machine(tmp_path, {"DOCKER_CONFIG": str(tmp_path / "docker"), **environment})
    source = image_source(Image(name=name), machine)
    locked = source.lock()
    nobody = {"SEALIFT_MIRRORS": f"{name.partition('/')[0]}=http://127.0.0.1:9"}
    find = image_source(Image(name=name), samples.machine(tmp_path, nobody)).open(locked)
    for blob in (locked.config, *locked.layers):
        assert _digest(find(blob)) == blob.digest
    return locked


def _digest(content: Content) -> str:
    digest = hashlib.sha256()
    for chunk in content.chunks():
        digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "v2s2"),
        ("--format", "oci"),
        ("--format", "oci", "--dest-compress-format", "zstd"),
    ],
    ids=["docker-gzip", "oci-gzip", "oci-zstd"],
)
def test_an_image_is_the_same_out_of_a_registry_as_out_of_a_tarball(
    peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path, options: tuple[str, ...]
) -> None:
    skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", *options)
    locked = _fetched(tmp_path, NAME, mirrors(peer.port))
    assert locked.layers == expected.layers
    if "oci" not in options:  # skopeo writes the config anew to make it OCI's
        assert locked.config == expected.config
    assert locked.manifest is not None
    assert "127.0.0.1" not in locked.model_dump_json()


def test_an_image_named_by_loopback_needs_no_mirror(
    peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    skopeo(f"docker-archive:{saved}", peer, "acme/direct:2.0")
    assert _fetched(tmp_path, f"{peer.host}/acme/direct:2.0", {}).config == expected.config


def test_an_index_leads_to_our_platform_and_is_refused_without_it(
    peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    skopeo(f"docker-archive:{saved}", peer, "acme/tool:amd64", "--format", "oci")
    manifest, digest, size = peer.manifest("acme/tool", "amd64")
    other = json.dumps({"architecture": "arm64", "os": "linux", "rootfs": {"diff_ids": []}}).encode()
    peer.push_blob("acme/tool", other)
    config = {**manifest["config"], "digest": digest_of(other).digest, "size": len(other)}
    peer.push_manifest("acme/tool", "arm64", OCI, {**manifest, "config": config})
    _, other_digest, other_size = peer.manifest("acme/tool", "arm64")
    entries = [_entry(other_digest, other_size, "arm64"), _entry(digest, size, "amd64")]
    for index_type, tag in zip(INDEX_TYPES, ("1.1", "1.2"), strict=True):
        peer.push_manifest("acme/tool", tag, index_type, {"manifests": entries})
        locked = _fetched(tmp_path / tag, f"docker.io/acme/tool:{tag}", mirrors(peer.port))
        assert (locked.manifest, locked.layers) == (digest, expected.layers)
    peer.push_manifest("acme/tool", "1.3", INDEX_TYPES[0], {"manifests": entries[:1]})
    with pytest.raises(SealiftError, match="for linux/amd64 once, it has linux/arm64"):
        _fetched(tmp_path / "1.3", "docker.io/acme/tool:1.3", mirrors(peer.port))


def _entry(digest: str, size: int, architecture: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture}
    return {"mediaType": OCI, "digest": digest, "size": size, "platform": platform}


def test_a_tag_that_is_not_there_is_named(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match=r"acme/tool/manifests/none: is not there. Check the name."):
        _fetched(tmp_path, "docker.io/acme/tool:none", mirrors(peer.port))


def test_a_layer_that_is_not_what_the_config_says_is_refused(peer: Peer, tmp_path: Path) -> None:
    files = samples.docker_files([samples.layer(b"one")])
    config = next(content for name, content in files.items() if name.endswith(".json") and len(name) > 60)
    layer = gzip.compress(samples.layer(b"another"))
    for content in (config, layer):
        peer.push_blob("acme/lies", content)
    described = [
        {"mediaType": kind, "digest": digest_of(content).digest, "size": len(content)}
        for kind, content in (
            ("application/vnd.oci.image.config.v1+json", config),
            ("application/vnd.oci.image.layer.v1.tar+gzip", layer),
        )
    ]
    peer.push_manifest("acme/lies", "1", OCI, {"config": described[0], "layers": described[1:]})
    with pytest.raises(SealiftError, match=r"layer sha256:\w+: is sha256:\w+, expected sha256:"):
        _fetched(tmp_path, "docker.io/acme/lies:1", mirrors(peer.port))


def test_a_compressed_layer_that_the_config_names_itself_is_refused_however_often(
    peer: Peer, tmp_path: Path
) -> None:
    """Docker unpacks it, and finds another digest."""
    files = samples.docker_files([gzip.compress(samples.layer(b"one"))])
    config = next(content for name, content in files.items() if name.endswith(".json") and len(name) > 60)
    for content in (config, files["l0/layer.tar"]):
        peer.push_blob("acme/packed", content)
    described = [
        {"mediaType": MANIFEST_TYPES[0], "digest": digest_of(content).digest, "size": len(content)}
        for content in (config, files["l0/layer.tar"])
    ]
    peer.push_manifest("acme/packed", "1", OCI, {"config": described[0], "layers": described[1:]})
    for _ in range(2):
        with pytest.raises(SealiftError, match=r"is compressed, but its config names it. Push"):
            _fetched(tmp_path, "docker.io/acme/packed:1", mirrors(peer.port))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, saved: Path) -> Iterator[Peer]:
    """A registry with a password, which has the image."""
    folder = tmp_path_factory.mktemp("guarded")
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"builder:{hashed}\n")
    with serving(folder, {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}) as peer:
        (folder / "auth").mkdir()
        _log_in(folder / "auth", peer, PASSWORD)
        skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", "--authfile", f"{folder}/auth/config.json")
        yield peer


def _log_in(folder: Path, peer: Peer, password: str) -> None:
    """As `docker login` leaves it."""
    auth = base64.b64encode(f"builder:{password}".encode()).decode()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {peer.host: {"auth": auth}}}))


def test_the_password_of_docker_login_opens_a_registry(
    guarded: Peer, expected: LockedImage, tmp_path: Path
) -> None:
    _log_in(tmp_path / "docker", guarded, PASSWORD)
    locked = _fetched(tmp_path, NAME, mirrors(guarded.port))
    assert locked.config == expected.config
    assert PASSWORD not in locked.model_dump_json()


def test_a_wrong_password_is_refused_and_not_shown(guarded: Peer, tmp_path: Path) -> None:
    _log_in(tmp_path / "docker", guarded, "wrong battery")
    with pytest.raises(SealiftError) as refusal:
        _fetched(tmp_path, NAME, mirrors(guarded.port))
    assert str(refusal.value) == (
        f"{guarded.host}: acme/tool/manifests/1.0: the registry refuses this machine's login. "
        f"Run docker login {guarded.host}."
    )


def test_no_password_is_refused_with_a_remedy(guarded: Peer, tmp_path: Path) -> None:
    with pytest.raises(
        SealiftError, match=rf"the registry asks for a login. Run docker login {guarded.host}"
    ):
        _fetched(tmp_path, NAME, mirrors(guarded.port))


def _token_auth(issuer: Issuer) -> dict[str, str]:
    return {
        "realm": issuer.url,
        "service": SERVICE,
        "issuer": ISSUER,
        "rootcertbundle": str(issuer.certificate),
    }


def test_a_token_opens_a_registry_and_only_with_the_password(
    tmp_path: Path, saved: Path, expected: LockedImage
) -> None:
    with (
        issuing(tmp_path / "issuer", "builder", PASSWORD) as issuer,
        serving(tmp_path / "registry", {"token": _token_auth(issuer)}) as peer,
    ):
        _log_in(tmp_path / "docker", peer, PASSWORD)
        login = f"{tmp_path}/docker/config.json"
        skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", "--authfile", login)
        assert _fetched(tmp_path, NAME, mirrors(peer.port)).config == expected.config
        _log_in(tmp_path / "docker", peer, "wrong battery")
        with pytest.raises(SealiftError, match="refuses this machine's login") as refusal:
            _fetched(tmp_path, "docker.io/acme/tool:2.0", mirrors(peer.port))
        assert "battery" not in str(refusal.value)


def test_a_token_that_anybody_gets_opens_what_is_public_and_nothing_else(
    tmp_path: Path, saved: Path, expected: LockedImage
) -> None:
    """As Docker Hub has it."""
    with (
        issuing(tmp_path / "issuer", "builder", PASSWORD, public="acme/") as issuer,
        serving(tmp_path / "registry", {"token": _token_auth(issuer)}) as peer,
    ):
        _log_in(tmp_path / "pusher", peer, PASSWORD)
        login = f"{tmp_path}/pusher/config.json"
        for name in ("acme/tool:1.0", "secret/tool:1.0"):
            skopeo(f"docker-archive:{saved}", peer, name, "--authfile", login)
        assert _fetched(tmp_path, NAME, mirrors(peer.port)).config == expected.config
        with pytest.raises(SealiftError, match=rf"asks for a login. Run docker login {peer.host}"):
            _fetched(tmp_path, "docker.io/secret/tool:1.0", mirrors(peer.port))


def _blobs(front: Front) -> list[Asked]:
    return [asked for asked in front.asked if "/blobs/" in asked.path]


def test_a_login_does_not_go_along_to_another_host(
    guarded: Peer, peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    """Registries send their clients to a store of blobs, which answers whoever comes by that address."""
    skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0")
    with fronting(peer.port, lambda _: None) as store:

        def decide(asked: Asked) -> Answer | None:
            return Answer(307, {"Location": store.url + asked.path}) if "/blobs/" in asked.path else None

        with fronting(guarded.port, decide) as front:
            _log_in(tmp_path / "docker", Peer(front.port), PASSWORD)
            assert _fetched(tmp_path, NAME, mirrors(front.port)).config == expected.config
    assert all("Authorization" in asked.headers for asked in _blobs(front))
    assert len(_blobs(store)) == 1 + len(expected.layers)
    assert not any("Authorization" in asked.headers for asked in store.asked)


def test_a_login_goes_along_on_the_same_host(guarded: Peer, expected: LockedImage, tmp_path: Path) -> None:
    def decide(asked: Asked) -> Answer | None:
        moved = asked.path.replace("/v2/old/", "/v2/acme/")
        return Answer(307, {"Location": moved}) if moved != asked.path else None

    with fronting(guarded.port, decide) as front:
        _log_in(tmp_path / "docker", Peer(front.port), PASSWORD)
        locked = _fetched(tmp_path, "docker.io/old/tool:1.0", mirrors(front.port))
    assert locked.config == expected.config


def test_a_cut_connection_is_taken_up_where_it_broke(
    peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", "--format", "oci")
    with relaying(peer.port, cut_after=1 << 20, cuts=2) as relay:
        locked = _fetched(tmp_path, NAME, mirrors(relay.port))
    assert locked.layers == expected.layers
    assert relay.cuts <= 0
    manifest, _, _ = peer.manifest("acme/tool", "1.0")
    whole = sum(layer["size"] for layer in manifest["layers"])
    assert whole < relay.passed < whole + (1 << 20)


def test_a_line_that_only_breaks_is_given_up(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sealift.sources.http.PAUSE", 0.001)
    with relaying(peer.port, cut_after=100, cuts=1000) as relay:
        with pytest.raises(SealiftError, match=r"acme/tool/manifests/1.0: breaks off, 6 times"):
            _fetched(tmp_path, NAME, mirrors(relay.port))
        assert relay.cuts == 1000 - 6


def test_a_model_is_the_same_out_of_ollamas_registry_and_locking_it_fetches_little(
    peer: Peer, tmp_path: Path
) -> None:
    weights = samples.gguf({**samples.GEMMA, "filler": ["x" * 60_000] * 100}) + os.urandom(60 << 20)
    files = samples.ollama_files(weights)
    samples.tar(tmp_path / "model.tar", files)
    expected = samples.lock_model(samples.MODEL, Model(archive="model.tar"), tmp_path)
    push_model(peer, files, samples.MODEL)
    with relaying(peer.port, cut_after=20 << 20, cuts=2) as relay:
        machine = samples.machine(tmp_path, mirrors(relay.port))
        source = model_source(samples.MODEL, Model(), machine)
        locked = source.lock()
        assert locked == expected.model_copy(update={"archive": None})
        assert relay.passed < 20 << 20
        find = source.open(locked)
        for blob in locked.blobs:
            assert _digest(find(blob)) == blob.digest
        assert relay.passed < (60 << 20) + (8 << 20)
        assert relay.cuts <= 0
