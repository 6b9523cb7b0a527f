"""Bundles that are damaged, unsigned or not what their lock says, and how they are shown and refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.bundle.build import build
from sealift.cli.inspect import inspect
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.oci.layout import REF_NAME, RELEASE_REF, read_index, read_layout
from sealift.progress import silent
from sealift.release.lockfile import dump_lock
from tests.unit import samples
from tests.unit.samples import Site
from tests.unit.small_bundle import import_small, weights_of


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


def _lengthen(path: Path) -> None:
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"x")


def _swap_for_link(path: Path) -> None:
    shutil.copy(path, path.parents[3] / "elsewhere")
    path.unlink()
    path.symlink_to(path.parents[3] / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip, "is damaged"),
        (_truncate, "bytes, expected"),
        (_lengthen, "bytes, expected"),
        (Path.unlink, "is missing"),
        (_swap_for_link, "is a link"),
    ],
)
def test_a_bad_blob_is_named_and_nothing_is_registered(
    site: Site, bundle: Path, damage: object, message: str
) -> None:
    assert callable(damage)
    damage(bundle / "blobs" / "sha256" / weights_of(site))
    with pytest.raises(SealiftError, match=message) as refusal:
        import_small(site, bundle)
    assert weights_of(site) in str(refusal.value)
    depot = Depot(site.sources.parent / "depot")
    assert depot.releases() == {}
    assert not depot.store.path(site.lock.models[samples.MODEL].layers[0]).exists()


def test_flipped_bytes_of_the_index_are_refused(site: Site, bundle: Path) -> None:
    whole = (bundle / "index.json").read_bytes()
    for position in range(0, len(whole), len(whole) // 12):
        (bundle / "index.json").write_bytes(whole[:position] + b"\x01" + whole[position + 1 :])
        with pytest.raises(SealiftError, match="altered or damaged"):
            import_small(site, bundle)


def test_a_damaged_manifest_is_refused_before_anything_is_copied(site: Site, bundle: Path) -> None:
    index = read_index(bundle)
    for entry in read_layout(index, BlobStore(bundle)).entries:
        path = BlobStore(bundle).path(entry.descriptor.blob)
        whole = path.read_bytes()
        _flip(path)
        with pytest.raises(SealiftError, match=f"{entry.descriptor.digest} is damaged"):
            import_small(site, bundle)
        path.write_bytes(whole)
    assert not (site.sources.parent / "depot").exists()


def test_a_bundle_without_signature_is_refused(site: Site, bundle: Path) -> None:
    (bundle / "index.json.sig").unlink()
    with pytest.raises(SealiftError, match="expected the bundle's signature"):
        import_small(site, bundle)


def test_a_bundle_signed_by_a_stranger_is_refused(site: Site, bundle: Path, tmp_path: Path) -> None:
    build(site.lock, site.sources, bundle, samples.signing_key(tmp_path / "stranger"), silent)
    with pytest.raises(SealiftError, match=r"nobody in .*allowed_signers made it"):
        import_small(site, bundle)


def test_a_signer_allowed_for_something_else_is_refused(site: Site, bundle: Path) -> None:
    site.allowed.write_text(site.allowed.read_text().replace('"sealift"', '"git"'))
    with pytest.raises(SealiftError, match=r"^index\.json.*: "):
        import_small(site, bundle)


def _sign_altered(site: Site, bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """What a builder with a key could sign: a good bundle with another index."""
    index = json.loads(read_index(bundle))
    change(index)
    content = json.dumps(index).encode()
    (bundle / "index.json").write_bytes(content)
    (bundle / "index.json.sig").write_bytes(signature.sign(content, site.key))


def _entry(index: dict[str, Any], ref: str) -> dict[str, Any]:
    found: dict[str, Any] = next(e for e in index["manifests"] if e["annotations"][REF_NAME] == ref)
    return found


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        (samples.IMAGE, f"{samples.IMAGE} is another image than its lock says"),
        (samples.MODEL, f"{samples.MODEL} is another model than its lock says"),
        ("packages", "its packages are others than its lock says"),
    ],
)
def test_a_bundle_that_shows_another_thing_than_its_lock_names_is_refused(
    site: Site, bundle: Path, ref: str, told: str
) -> None:
    def swap(index: dict[str, Any]) -> None:
        shown, other = _entry(index, ref), _entry(index, samples.GATEWAY)
        index["manifests"].append({**shown, "annotations": {REF_NAME: "hidden"}})  # its blobs are carried
        shown.update({key: other[key] for key in ("digest", "size", "mediaType")})

    _sign_altered(site, bundle, swap)
    with pytest.raises(SealiftError, match=f"^bundle: {told}"):
        import_small(site, bundle)


def test_a_name_that_stands_twice_is_refused(site: Site, bundle: Path) -> None:
    _sign_altered(site, bundle, lambda index: index["manifests"].append(index["manifests"][0]))
    with pytest.raises(SealiftError, match=r"index\.json: has two entries named"):
        import_small(site, bundle)


def test_a_lock_with_another_size_than_the_bundle_is_refused(site: Site, bundle: Path) -> None:
    document = json.loads(dump_lock(site.lock))
    document["packages"][0]["blob"]["size"] += 1
    store = BlobStore(bundle)
    lock = store.put_bytes(json.dumps(document).encode())

    def swap(index: dict[str, Any]) -> None:
        entry = _entry(index, RELEASE_REF)
        manifest = json.loads((store.folder / entry["digest"].removeprefix("sha256:")).read_bytes())
        manifest["config"].update(digest=lock.digest, size=lock.size)
        entry.update(store.put_bytes(json.dumps(manifest).encode()).model_dump())

    _sign_altered(site, bundle, swap)
    with pytest.raises(SealiftError, match=r"lacks 1 blobs .* of 10 bytes"):
        import_small(site, bundle)


def test_inspecting_shows_a_hostile_name_and_obeys_it_not(
    site: Site, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def spoil(index: dict[str, Any]) -> None:
        _entry(index, samples.IMAGE)["annotations"][REF_NAME] = "[/x]\x1b[2J"

    _sign_altered(site, bundle, spoil)
    inspect(bundle)
    shown = capsys.readouterr().out
    assert "[/x]?[2J" in shown
    assert "\x1b[2J" not in shown
