"""Temporary folders, and what killed processes leave of them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from sealift.scratch import scratch


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def old_folder(path: Path, mode: int = 0o700) -> Path:
    path.mkdir(mode=mode)
    path.chmod(mode)
    (path / "file").touch()
    os.utime(path, (1, 1))
    return path


def test_is_private_and_gone_at_the_end(temporary: Path) -> None:
    with scratch("test") as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_is_removed(temporary: Path) -> None:
    left = old_folder(temporary / "sealift-test-left")
    with scratch("test"):
        assert not left.exists()


def test_two_processes_may_remove_the_same_folder(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = old_folder(temporary / "sealift-test-left")
    lock = fcntl.flock

    def after_the_other_one(handle: int, how: int) -> None:
        if how & fcntl.LOCK_NB:
            shutil.rmtree(left)
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", after_the_other_one)
    with scratch("test") as folder:
        assert folder.exists() and not left.exists()


def test_what_is_in_use_young_or_of_others_stays(temporary: Path) -> None:
    other_kind = old_folder(temporary / "sealift-other-left")
    open_to_all = old_folder(temporary / "sealift-test-shared", 0o755)
    link = temporary / "sealift-test-link"
    link.symlink_to(other_kind)
    young = temporary / "sealift-test-young"
    young.mkdir(mode=0o700)
    with scratch("test") as used:
        os.utime(used, (1, 1))
        with scratch("test"):
            assert used.exists()
    assert all(path.exists() for path in (other_kind, open_to_all, link, young, other_kind / "file"))
