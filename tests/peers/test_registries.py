"""Images and models out of a real registry: Debian's, on loopback, filled by skopeo and by hand."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.oci.manifest import INDEX_TYPES, MANIFEST_TYPES
from sealift.release.locked import LockedImage
from sealift.release.types import Model
from sealift.sources.kinds import model_source
from tests.peers.fetching import NAME, digest_of_content, fetched
from tests.peers.registry import Peer, mirrors, push_model, skopeo
from tests.peers.relay import relaying
from tests.unit import samples

OCI = MANIFEST_TYPES[0]


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
    locked = fetched(tmp_path, NAME, mirrors(peer.port))
    assert locked.layers == expected.layers
    if "oci" not in options:  # skopeo writes the config anew to make it OCI's
        assert locked.config == expected.config
    assert locked.manifest is not None
    assert "127.0.0.1" not in locked.model_dump_json()


def test_an_image_named_by_loopback_needs_no_mirror(
    peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    skopeo(f"docker-archive:{saved}", peer, "acme/direct:2.0")
    assert fetched(tmp_path, f"{peer.host}/acme/direct:2.0", {}).config == expected.config


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
        locked = fetched(tmp_path / tag, f"docker.io/acme/tool:{tag}", mirrors(peer.port))
        assert (locked.manifest, locked.layers) == (digest, expected.layers)
    peer.push_manifest("acme/tool", "1.3", INDEX_TYPES[0], {"manifests": entries[:1]})
    with pytest.raises(SealiftError, match="for linux/amd64 once, it has linux/arm64"):
        fetched(tmp_path / "1.3", "docker.io/acme/tool:1.3", mirrors(peer.port))


def _entry(digest: str, size: int, architecture: str) -> dict[str, Any]:
    platform = {"os": "linux", "architecture": architecture}
    return {"mediaType": OCI, "digest": digest, "size": size, "platform": platform}


def test_a_tag_that_is_not_there_is_named(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match=r"acme/tool/manifests/none: is not there. Check the name."):
        fetched(tmp_path, "docker.io/acme/tool:none", mirrors(peer.port))


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
        fetched(tmp_path, "docker.io/acme/lies:1", mirrors(peer.port))


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
            fetched(tmp_path, "docker.io/acme/packed:1", mirrors(peer.port))


def test_a_cut_connection_is_taken_up_where_it_broke(
    peer: Peer, saved: Path, expected: LockedImage, tmp_path: Path
) -> None:
    skopeo(f"docker-archive:{saved}", peer, "acme/tool:1.0", "--format", "oci")
    with relaying(peer.port, cut_after=1 << 20, cuts=2) as relay:
        locked = fetched(tmp_path, NAME, mirrors(relay.port))
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
            fetched(tmp_path, NAME, mirrors(relay.port))
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
            assert digest_of_content(find(blob)) == blob.digest
        assert relay.passed < (60 << 20) + (8 << 20)
        assert relay.cuts <= 0
