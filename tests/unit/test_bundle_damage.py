"""Every byte of a bundle counts: changed or cut off, it is refused by name, and the depot stays as it was.

Here some of them; tests/peers/test_every_byte.py tries all, and asks ssh-keygen about each of the index.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.oci.layout import INDEX, LAYOUT_FILE, SIGNATURE, read_index, read_layout
from sealift.progress import silent
from tests.unit import tiny
from tests.unit.samples import Site

SMALL = (LAYOUT_FILE, INDEX, SIGNATURE)


def damaged(whole: bytes, positions: Iterable[int], masks: tuple[int, ...]) -> Iterator[bytes]:
    """Bytes changed one at a time, truncations, and something more at the end.

    + positions: of the bytes that are changed, and where it is cut off
    + masks: what a byte is changed by, bit by bit
    """
    for position in positions:
        for mask in masks:
            yield whole[:position] + bytes([whole[position] ^ mask]) + whole[position + 1 :]
        yield whole[:position]
    yield whole + b"\n"


def passing(site: Site, depot: Depot, path: Path, contents: Iterator[bytes]) -> list[bytes]:
    """Those contents of one file of a bundle with which it can be imported; the file is put back at the end.

    Each other one is refused by name, and leaves no release, nor the file's own content, in the depot.
    """
    bundle, whole = site.sources.parent / "bundle", path.read_bytes()
    names = _names(bundle, path)
    passed = []
    path.chmod(0o644)
    for content in contents:
        path.write_bytes(content)
        try:
            import_bundle(depot, bundle, site.allowed, silent)
        except SealiftError as error:
            assert any(name in str(error) for name in names), error
            assert depot.releases() == {}
        else:
            passed.append(content)
            break
    path.write_bytes(whole)
    assert not (depot.path / "bundles").exists() or passed
    for blob in depot.store.folder.glob("*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        assert blob.name != path.name or passed
    return passed


def _names(bundle: Path, path: Path) -> set[str]:
    """What a refusal may call a file by."""
    owned = read_layout(read_index(bundle), BlobStore(bundle)).blobs()
    owner = owned[f"sha256:{path.name}"][1] if path.parent.name == "sha256" else path.name
    return {path.name, owner}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    # ssh-keygen's answer to one question is remembered: damage to blobs leaves the question as it was
    monkeypatch.setattr(signature, "verify", functools.cache(signature.verify))
    return tiny.site(tmp_path)


def test_damage_to_any_blob_is_refused(site: Site, tmp_path: Path) -> None:
    blobs = sorted((tmp_path / "bundle/blobs/sha256").iterdir())
    assert len(blobs) > 12
    for number, path in enumerate(blobs):
        depot = Depot(tmp_path / f"depot{number}")
        some = max(1, path.stat().st_size // 20)
        contents = damaged(path.read_bytes(), range(0, path.stat().st_size, some), (1,))
        assert passing(site, depot, path, contents) == []
    import_bundle(Depot(tmp_path / "depot"), tmp_path / "bundle", site.allowed, silent)
    assert list(Depot(tmp_path / "depot").releases()) == ["demo:2026.11.0"]


@pytest.mark.parametrize(("name", "every"), [(LAYOUT_FILE, 1), (INDEX, 97), (SIGNATURE, 23)])
def test_damage_to_index_signature_and_marker_is_refused(
    site: Site, tmp_path: Path, name: str, every: int
) -> None:
    path, depot = tmp_path / "bundle" / name, Depot(tmp_path / "depot")
    whole = path.read_bytes()
    contents = damaged(whole, range(0, len(whole), every), (1,))
    other = (content for content in contents if not means_the_same(name, content, whole))
    assert passing(site, depot, path, other) == []
    assert not depot.path.exists()


def means_the_same(name: str, content: bytes, whole: bytes) -> bool:
    """White space in a signature's armour means nothing: what it proves is the same."""
    return name == SIGNATURE and b"".join(content.split()) == b"".join(whole.split())
