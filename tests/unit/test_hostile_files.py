"""Links, pipes, folders, devices and endless files where sealift reads a file: each is refused at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.bundle.have_list import read_signed
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.oci.layout import INDEX, LAYOUT_FILE, SIGNATURE
from sealift.progress import silent
from sealift.release.types import Image, Model
from tests.unit import samples, tiny
from tests.unit.little import little
from tests.unit.samples import Site, lock_image, lock_model

_Change = Callable[[Path], None]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return tiny.site(tmp_path)


def _bundle(site: Site) -> Path:
    return site.sources.parent / "bundle"


def _import(site: Site) -> None:
    import_bundle(Depot(site.sources.parent / "depot"), _bundle(site), site.allowed, silent)


def _as_link(path: Path) -> None:
    """A link to the same content: only the link is wrong."""
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 1 << 40)  # a sparse file: one of a terabyte that fits anywhere


@pytest.mark.parametrize("change", [_as_link, _as_pipe, _as_folder, _as_device, _huge])
def test_nothing_of_a_bundle_is_followed_waited_for_or_read_without_end(site: Site, change: _Change) -> None:
    bundle, depot = _bundle(site), Depot(site.sources.parent / "depot")
    blobs = sorted((bundle / "blobs/sha256").iterdir())
    assert len(blobs) > 10
    for path in (bundle / LAYOUT_FILE, bundle / INDEX, bundle / SIGNATURE, *blobs):
        kept = (
            path.rename(path.parents[0] / "kept") if path.parent == bundle else path.rename(bundle / "kept")
        )
        shutil.copy(kept, path)
        change(path)
        with little(), pytest.raises(SealiftError, match=path.name):
            _import(site)
        assert depot.releases() == {}
        shutil.rmtree(depot.path, ignore_errors=True)  # what it took in whole it would not read again
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        kept.rename(path)
    _import(site)
    assert list(depot.releases()) == ["demo:2026.11.0"]


@pytest.mark.parametrize("change", [_as_pipe, _as_folder, _as_device])
def test_a_have_list_that_is_no_file_is_refused(site: Site, tmp_path: Path, change: _Change) -> None:
    for name in ("have.json", "have.json.sig"):
        folder = tmp_path / f"bad {name}"
        folder.mkdir()
        for path in (folder / "have.json", folder / "have.json.sig"):
            path.write_bytes(b"{}")
        change(folder / name)
        with little(), pytest.raises(SealiftError, match=rf"{name}: (cannot be read|has more than)"):
            read_signed(folder / "have.json", site.allowed)


@pytest.mark.parametrize("change", [_as_pipe, _as_device])
def test_an_archive_that_is_no_file_is_refused(tmp_path: Path, change: _Change) -> None:
    samples.tar(tmp_path / "a.tar", samples.docker_files([b"a layer"]))
    change(tmp_path / "a.tar")
    with little(), pytest.raises(SealiftError, match=r"a\.tar: "):
        lock_image(Image(name=samples.IMAGE, archive="a.tar"), tmp_path)
    with little(), pytest.raises(SealiftError, match=r"a\.tar: "):
        lock_model(samples.MODEL, Model(archive="a.tar"), tmp_path)


@pytest.mark.parametrize("change", [_as_link, _as_pipe, _as_folder, _as_device])
def test_nothing_of_a_model_store_is_followed_or_waited_for(tmp_path: Path, change: _Change) -> None:
    files = samples.ollama_files(samples.gguf(samples.GEMMA))
    for name in files:
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        for each, content in files.items():
            (tmp_path / "store" / each).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "store" / each).write_bytes(content)
        change(tmp_path / "store" / name)
        with little(), pytest.raises(SealiftError, match=r"is a link or a device|is no file"):
            lock_model(samples.MODEL, Model(store="store"), tmp_path)


def test_a_limited_file_may_be_a_link_but_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_limited(tmp_path / "link", 10) == b"content"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SealiftError, match="pipe: cannot be read: is no file"):
        read_limited(tmp_path / "pipe", 10)
