"""Wheels by the real pip, out of a folder of small ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import pytest

from sealift.blobs import BlobStore
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.release.locked import LockedWheel
from sealift.release.values import SuiteName
from sealift.sources.wheels import TARGETS, fetch_wheels, lock_wheels, platforms_of
from tests.unit.wheels import pinned, pip_index, wheel

LINUX = "cp313-cp313-manylinux_2_17_x86_64"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "index"
    wheel(folder, "pip")
    wheel(folder, "setuptools")
    pip_index(folder, monkeypatch)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "cache")


def _lock(index: Path, cache: BlobStore, *wheels: Path, more: str = "") -> dict[str, LockedWheel]:
    text = pinned(*index.glob("pip-*"), *index.glob("setuptools-*"), *wheels) + more
    found = lock_wheels(text.encode(), "requirements.txt", "trixie", cache, silent)
    return {wheel.name: wheel for wheel in found}


def test_wheels_are_taken_for_the_suites_python(index: Path, cache: BlobStore) -> None:
    files = [
        wheel(index, "thing", tag=tag)
        for tag in (LINUX, "cp311-cp311-manylinux_2_17_x86_64", "cp313-cp313-win_amd64")
    ]
    hashes = "".join(f" --hash=sha256:{digest_of(path.read_bytes()).hex}" for path in files)
    found = _lock(index, cache, more=f"thing==1.0{hashes}\n")
    assert list(found) == ["pip", "setuptools", "thing"]
    assert found["thing"] == LockedWheel(
        name="thing", version="1.0", file=files[0].name, blob=digest_of(files[0].read_bytes())
    )
    assert cache.path(found["thing"].blob).read_bytes() == files[0].read_bytes()


def test_what_a_marker_leaves_out_is_not_asked_for(index: Path, cache: BlobStore) -> None:
    nowhere = f"absent==1.0 ; python_version < '3.13' --hash=sha256:{'0' * 64}\n"
    assert list(_lock(index, cache, more=nowhere)) == ["pip", "setuptools"]


def test_the_same_requirements_are_not_asked_for_again(
    index: Path, cache: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = wheel(index, "thing")
    text = pinned(*sorted(index.iterdir())).encode()
    first = lock_wheels(text, "r.txt", "trixie", cache, silent)
    thing.rename(thing.with_suffix(".gone"))
    assert lock_wheels(text, "r.txt", "trixie", cache, silent) == first
    cache.path(first[0].blob).unlink()  # something is lacking: then pip is asked
    with pytest.raises(SealiftError, match=r"thing 1\.0: no wheel"):
        lock_wheels(text, "r.txt", "trixie", cache, silent)


def test_what_the_cache_says_of_other_wheels_is_not_believed(index: Path, cache: BlobStore) -> None:
    """Such as a wheel of the same name and version that no hash of the requirements is of."""
    wheel(index, "thing")
    text = pinned(*sorted(index.iterdir())).encode()
    first = lock_wheels(text, "r.txt", "trixie", cache, silent)
    (remembered,) = cache.folder.parents[1].glob("wheels-*/*.json")
    other = cache.put_bytes(b"another wheel")
    said = remembered.read_text()
    remembered.write_text(said.replace(first[-1].blob.hex, other.hex))
    assert other.hex in remembered.read_text()
    assert lock_wheels(text, "r.txt", "trixie", cache, silent) == first
    remembered.write_text("[]")
    assert lock_wheels(text, "r.txt", "trixie", cache, silent) == first


def test_every_package_without_a_wheel_is_named(index: Path, cache: BlobStore) -> None:
    old = wheel(index, "old", tag="cp311-cp311-manylinux_2_17_x86_64")
    late = wheel(index, "late", tag="cp313-cp313-manylinux_2_42_x86_64")
    changed = pinned(wheel(index, "changed")).replace("sha256:", "sha256:0")[:-2] + "\n"
    with pytest.raises(SealiftError) as raised:
        _lock(index, cache, old, late, more=changed)
    told = sorted(str(raised.value).splitlines())
    assert [line.partition(". ")[0] for line in told] == [
        "changed 1.0: pip's index has a wheel for it, but none of these hashes",
        "late 1.0: no wheel for Python 3.13 on amd64 at pip's index that has one of its hashes",
        "old 1.0: no wheel for Python 3.13 on amd64 at pip's index that has one of its hashes",
    ]


def test_a_package_that_has_sources_only_is_refused(index: Path, cache: BlobStore) -> None:
    (index / "thing-1.0.tar.gz").write_bytes(b"sources")
    digest = digest_of(b"sources").hex
    with pytest.raises(SealiftError, match=r"thing 1\.0: no wheel for Python 3\.13 on amd64"):
        _lock(index, cache, more=f"thing==1.0 --hash=sha256:{digest}\n")


def test_a_pip_that_cannot_work_is_told_in_its_own_words(
    index: Path, cache: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = pinned(*sorted(index.iterdir())).encode()
    monkeypatch.setenv("PIP_CONFIG_FILE", str(index / "broken"))
    (index / "broken").write_text("[global\n")
    with pytest.raises(SealiftError, match=r"^pip: (?s:.*)Check pip's index and proxy"):
        lock_wheels(text, "r.txt", "trixie", cache, silent)


def test_a_locked_wheel_is_fetched_by_its_hash(index: Path, cache: BlobStore) -> None:
    found = _lock(index, cache, wheel(index, "thing"))
    cache.path(found["thing"].blob).unlink()
    told: list[tuple[str, int, int]] = []
    fetch_wheels(found.values(), "trixie", cache, lambda *progress: told.append(progress))
    assert cache.has(found["thing"].blob)
    cache.path(found["thing"].blob).unlink()
    (index / found["thing"].file).write_bytes(b"another file")
    with pytest.raises(SealiftError, match=r"thing 1\.0: pip's index has a wheel for it, but none of these"):
        fetch_wheels(found.values(), "trixie", cache, silent)
    assert not cache.has(found["thing"].blob)


def test_wheels_that_are_in_the_cache_need_no_pip(
    index: Path, cache: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _lock(index, cache)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere/at/all")
    fetch_wheels(found.values(), "trixie", cache, silent)


def test_the_newest_manylinux_comes_first() -> None:
    tags = list(platforms_of(TARGETS["bookworm"]))
    assert tags[0] == "manylinux_2_36_x86_64"
    assert tags[tags.index("manylinux_2_17_x86_64") + 1] == "manylinux2014_x86_64"
    assert tags[-2:] == ["manylinux1_x86_64", "linux_x86_64"]


def test_nothing_is_left_in_the_temporary_folder(
    index: Path, cache: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    _lock(index, cache)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_every_suite_of_a_release_has_its_python() -> None:
    assert TARGETS.keys() == set(get_args(SuiteName))
