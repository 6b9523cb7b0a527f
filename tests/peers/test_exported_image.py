"""An exported image through a real registry: what comes out has the digest that sealift named."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from sealift.blobs import BlobStore
from sealift.bundle.build import build
from sealift.bundle.export import ImageOrder, export_image
from sealift.progress import silent
from tests.peers.registry import serving, skopeo
from tests.unit import samples


def test_a_registry_has_it_by_the_digest_that_sealift_named(tmp_path: Path) -> None:
    site = samples.site(tmp_path)
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    order = ImageOrder(site.lock, samples.MODEL, "localhost/llm/tiny:2026.11.0", with_roles=True)
    exported = export_image(order, BlobStore(tmp_path / "bundle"), tmp_path / "image", None, silent)
    with serving(tmp_path / "registry") as peer:
        skopeo(f"oci:{tmp_path / 'image'}:{exported.name}", peer, "llm/tiny:2026.11.0", "--preserve-digests")
        manifest, digest, _ = peer.manifest("llm/tiny", "2026.11.0")
        assert digest == exported.digest
        assert manifest["config"]["digest"] == exported.image_id
        back = tmp_path / "back.tar"
        pull = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
        source = f"docker://{peer.host}/llm/tiny@{exported.digest}"
        subprocess.run([*pull, source, f"docker-archive:{back}:{exported.name}"], check=True)
    command = ["skopeo", "inspect", "--config", f"docker-archive:{back}"]
    config = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert "OLLAMA_MODELS=/models" in config["config"]["Env"]
