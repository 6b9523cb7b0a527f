"""Export images with a small model in them, out of a bundle and out of a depot."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sealift.blobs import BlobStore
from sealift.bundle.build import build
from sealift.bundle.export import ExportedImage, ImageOrder, export_image
from sealift.cli.main import application
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.release.lockfile import dump_lock
from sealift.release.ollama_manifest import manifest_path, model_manifest
from tests.unit import samples
from tests.unit.media_bundle import content
from tests.unit.samples import Site
from tests.unit.small_bundle import weights_of

NAME = "registry.example.org/llm/tiny:2026.11.0"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    site = samples.site(tmp_path)
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    return site


@pytest.fixture
def source(site: Site, tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "bundle")


@pytest.fixture
def order(site: Site) -> ImageOrder:
    return ImageOrder(site.lock, samples.MODEL, NAME)


@pytest.fixture
def exported(order: ImageOrder, source: BlobStore, tmp_path: Path) -> ExportedImage:
    return export_image(order, source, tmp_path / "image", tmp_path / "image.tar", silent)


def _config(where: str) -> dict[str, Any]:
    raw = subprocess.run(["skopeo", "inspect", "--config", "--raw", where], capture_output=True, check=True)
    config: dict[str, Any] = json.loads(raw.stdout)
    return config


def _model_layer(image: Path) -> Path:
    diff_id: str = _config(f"oci:{image}:{NAME}")["rootfs"]["diff_ids"][-1]
    return image / "blobs/sha256" / diff_id.removeprefix("sha256:")


def test_out_of_a_bundle_and_out_of_a_depot_come_the_same_bytes(
    site: Site, order: ImageOrder, exported: ExportedImage, tmp_path: Path
) -> None:
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, tmp_path / "bundle", site.allowed, silent)
    again = export_image(order, depot.store, tmp_path / "again", tmp_path / "again.tar", silent)
    assert again == exported
    assert content(tmp_path / "again") == content(tmp_path / "image")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "image.tar").read_bytes()


def test_skopeo_reads_the_layout_and_the_archive(exported: ExportedImage, tmp_path: Path) -> None:
    layout = f"oci:{tmp_path / 'image'}:{NAME}"
    found = json.loads(subprocess.run(["skopeo", "inspect", layout], capture_output=True, check=True).stdout)
    assert found["Digest"] == exported.digest
    assert found["Labels"] == {"io.sealift.release": "demo:2026.11.0", "io.sealift.model": samples.MODEL}
    for where in (layout, f"docker-archive:{tmp_path / 'image.tar'}:{NAME}"):
        assert _config(where) == _config(layout)
    copy = tmp_path / "copy"
    subprocess.run(["skopeo", "copy", "-q", layout, f"dir:{copy}"], check=True)
    assert (copy / exported.image_id.removeprefix("sha256:")).is_file()


def test_the_layer_is_ollamas_store_with_the_model_whole(
    site: Site, exported: ExportedImage, tmp_path: Path
) -> None:
    model = site.lock.models[samples.MODEL]
    with tarfile.open(_model_layer(tmp_path / "image")) as layer:
        members = {member.name: member for member in layer}
        files = {name: layer.extractfile(m) for name, m in members.items() if m.isfile()}
        contents = {name: file.read() for name, file in files.items() if file}
    assert {(m.uid, m.gid, m.mtime, m.mode) for m in members.values() if m.isfile()} == {(0, 0, 0, 0o644)}
    assert {(m.uid, m.gid, m.mtime, m.mode) for m in members.values() if m.isdir()} == {(0, 0, 0, 0o755)}
    manifest = contents.pop(f"models/manifests/{manifest_path(samples.MODEL)}")
    assert manifest == model_manifest(model)
    assert {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()} == {
        f"models/blobs/sha256-{blob.hex}": blob.hex for blob in model.blobs
    }


def test_roles_are_names_of_the_model_where_they_are_wanted(
    order: ImageOrder, source: BlobStore, exported: ExportedImage, tmp_path: Path
) -> None:
    role = f"models/manifests/{manifest_path('chat:latest')}"
    with tarfile.open(_model_layer(tmp_path / "image")) as layer:
        assert role not in layer.getnames()
    wanted = replace(order, with_roles=True)
    assert export_image(wanted, source, tmp_path / "image", None, silent).models == (
        samples.MODEL,
        "chat:latest",
    )
    with tarfile.open(_model_layer(tmp_path / "image")) as layer:
        assert role in layer.getnames()


def test_exporting_again_keeps_layers_and_removes_what_an_interrupted_run_left(
    order: ImageOrder, source: BlobStore, exported: ExportedImage, tmp_path: Path
) -> None:
    image, before = tmp_path / "image", content(tmp_path / "image")
    base = source.path(order.lock.images["ollama"].layers[0]).name
    kept = (image / "blobs/sha256" / base).stat().st_ino
    (image / "blobs/sha256" / ("0" * 64)).write_bytes(b"of another model")
    (image / "partial").mkdir(exist_ok=True)
    (image / "partial/half").write_bytes(b"half")
    (image / ".index.json.x").write_bytes(b"{")
    (tmp_path / ".image.tar.partial").write_bytes(b"half")
    assert export_image(order, source, image, tmp_path / "image.tar", silent) == exported
    assert content(image) == before
    assert (image / "blobs/sha256" / base).stat().st_ino == kept
    assert not (tmp_path / ".image.tar.partial").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("", "gemma3", "llm/gemma3", "Registry.example.org/x:1", "../../etc/passwd:1", "/etc/x:1"),
        *(
            "localhost/x:1\n",
            "localhost/x:1 --now",
            "localhost/x@sha256:00",
            "[red]/x:1",
            "localhost/x:\x1b[2J",
        ),
    ],
)
def test_a_name_that_is_none_is_refused_before_anything_is_written(
    order: ImageOrder, source: BlobStore, tmp_path: Path, name: str
) -> None:
    with pytest.raises(SealiftError, match="is no image name in full"):
        export_image(replace(order, name=name), source, tmp_path / "image", None, silent)
    assert not (tmp_path / "image").exists()


def test_a_model_that_the_release_lacks_is_refused_with_those_it_has(
    order: ImageOrder, source: BlobStore, tmp_path: Path
) -> None:
    with pytest.raises(SealiftError, match=r"\.\./x: no model of demo:2026\.11\.0, which has tiny:1m"):
        export_image(replace(order, model="../x"), source, tmp_path / "image", None, silent)
    assert not (tmp_path / "image").exists()


def test_a_layer_that_rotted_in_an_earlier_export_is_written_again(
    order: ImageOrder, source: BlobStore, exported: ExportedImage, tmp_path: Path
) -> None:
    before = content(tmp_path / "image")
    for blob in order.lock.images["ollama"].layers:
        _flip(tmp_path / "image/blobs/sha256" / blob.hex)
    assert export_image(order, source, tmp_path / "image", tmp_path / "image.tar", silent) == exported
    assert content(tmp_path / "image") == before


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def _swap_for_link(path: Path) -> None:
    path.rename(path.parents[3] / "elsewhere")
    path.symlink_to(path.parents[3] / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [(_flip, "is damaged"), (Path.unlink, "is missing"), (_swap_for_link, "is a link")],
)
def test_a_bad_blob_is_named_and_no_image_is_written(
    site: Site,
    order: ImageOrder,
    source: BlobStore,
    tmp_path: Path,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    damage(source.folder / weights_of(site))
    with pytest.raises(SealiftError, match=message) as refusal:
        export_image(order, source, tmp_path / "image", tmp_path / "image.tar", silent)
    assert weights_of(site) in str(refusal.value)
    assert not (tmp_path / "image/index.json").exists()
    assert not (tmp_path / "image.tar").exists()


@pytest.mark.parametrize("owner", ["bundle", "skopeo", "somebody", "half a bundle"])
def test_a_folder_that_is_no_export_is_left_alone(
    order: ImageOrder, source: BlobStore, tmp_path: Path, owner: str
) -> None:
    folder = tmp_path / "bundle"
    if owner == "skopeo":
        folder = tmp_path / "other"
        there = f"oci:{tmp_path / 'bundle'}:{samples.IMAGE}"
        subprocess.run(["skopeo", "copy", "-q", there, f"oci:{folder}:x"], check=True)
    elif owner == "somebody":
        folder = tmp_path / "home"
        folder.mkdir()
        (folder / "thesis.txt").write_text("the only copy")
    elif owner == "half a bundle":
        for name in ("index.json", "index.json.sig", "oci-layout"):
            (folder / name).unlink()
    before = content(folder)
    with pytest.raises(SealiftError, match="exists and is no exported image"):
        export_image(order, source, folder, None, silent)
    assert content(folder) == before


def test_an_archive_in_the_layouts_folder_or_in_place_of_one_is_refused(
    order: ImageOrder, source: BlobStore, tmp_path: Path
) -> None:
    with pytest.raises(SealiftError, match="lies in the layout's folder"):
        export_image(order, source, tmp_path / "image", tmp_path / "image/image.tar", silent)
    with pytest.raises(SealiftError, match="is a folder"):
        export_image(order, source, tmp_path / "image", tmp_path / "bundle", silent)


def test_the_command_takes_a_lock_and_a_bundle_or_a_release_of_the_depot(
    site: Site, exported: ExportedImage, tmp_path: Path
) -> None:
    lock, depot = tmp_path / "demo.lock", tmp_path / "depot"
    lock.write_bytes(dump_lock(site.lock))
    import_bundle(Depot(depot), tmp_path / "bundle", site.allowed, silent)
    common = ["--model", samples.MODEL, "--name", NAME, "--out", str(tmp_path / "cli"), "--json"]
    for arguments in (
        ["--lock", str(lock), "--bundle", str(tmp_path / "bundle")],
        ["--lock", str(lock), "--depot", str(depot)],
        ["demo:2026.11.0", "--depot", str(depot)],
    ):
        ran = CliRunner().invoke(application(), ["export", "image", *arguments, *common])
        assert ran.exit_code == 0, ran.output
        assert json.loads(ran.output)["digest"] == exported.digest
    for arguments in (
        ["demo:2026.11.0"],
        ["--depot", str(depot)],
        ["demo:2026.11.0", "--bundle", str(tmp_path / "bundle")],
        ["demo:2026.11.0", "--lock", str(lock), "--depot", str(depot)],
        ["demo:2026.11.0", "--depot", str(depot), "--bundle", str(tmp_path / "bundle")],
    ):
        assert CliRunner().invoke(application(), ["export", "image", *arguments, *common]).exit_code == 2
