"""START.py unpacks what sealift lock packs as the deployment code, and nothing else."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.sources.code import pack_code
from tests.unit.start_media import MAIN, TELLS, make, tar_of
from tests.unit.test_code import FILES, checkout

# Debian's own, as on a control node: 3.11.2 on Debian 12, whose tarfile has no filters.
DEBIANS_PYTHON = "/usr/bin/python3"


def test_debians_own_python_unpacks_all_that_was_packed(tmp_path: Path) -> None:
    project = checkout(tmp_path / "project", {**FILES, MAIN: TELLS.decode()})
    cache = BlobStore(tmp_path / "cache")
    site = make(tmp_path, cache.path(pack_code(project, cache)).read_bytes())
    done = site.start(python=DEBIANS_PYTHON)
    assert done.returncode == 0, done.stderr
    unpacked = {
        str(path.relative_to(site.unpacked)): path.read_text()
        for path in site.unpacked.rglob("*")
        if path.is_file()
    }
    packed = {name: text for name, text in FILES.items() if name != "releases/demo.lock"}
    assert unpacked == {**packed, ".gitignore": "build\n", MAIN: TELLS.decode()}
    modes = {name: (site.unpacked / name).stat().st_mode & 0o7777 for name in ("deploy.py", MAIN)}
    assert modes == {"deploy.py": 0o755, MAIN: 0o644}


def _entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _sparse() -> tarfile.TarInfo:
    """A terabyte of nothing."""
    info = tarfile.TarInfo("large")
    info.pax_headers = {"GNU.sparse.size": str(1 << 40), "GNU.sparse.map": ""}
    return info


PLAIN = tarfile.REGTYPE
HOSTILE = {
    "a path that leads out": tar_of({"../../outside": b"x"}),
    "a path that leads out and in again": tar_of({"a/../deploy.py": b"x"}),
    "an absolute path": tar_of({"/outside": b"x"}),
    "a path to nowhere": tar_of({"./deploy.py": b"x"}),
    "the folder itself": tar_of({".": b"x"}),
    "no name": tar_of({"": b"x"}),
    "a name with a zero byte": tar_of({"ä\0b": b"x"}),
    "a link that leads out": tar_of({}, _entry("link", tarfile.SYMTYPE, "../../../outside")),
    "an absolute link": tar_of({}, _entry("link", tarfile.SYMTYPE, "/etc/passwd")),
    "a link within": tar_of({"a": b"x"}, _entry("link", tarfile.SYMTYPE, "a")),
    "a hard link that leads out": tar_of({}, _entry("link", tarfile.LNKTYPE, "../../../etc/passwd")),
    "a hard link within": tar_of({"a": b"x"}, _entry("link", tarfile.LNKTYPE, "a")),
    "a device": tar_of({}, _entry("null", tarfile.CHRTYPE)),
    "a pipe": tar_of({}, _entry("pipe", tarfile.FIFOTYPE)),
    "a folder": tar_of({}, _entry("folder", tarfile.DIRTYPE)),
    "a file with holes": tar_of({}, _sparse()),
    "a name twice": tar_of({"a": b"x"}, _entry("a", PLAIN)),
    "a file that is a folder too": tar_of({"a": b"x"}, _entry("a/b", PLAIN)),
    "a folder of a file that is one too": tar_of({"a": b"x"}, _entry("a/b/c", PLAIN)),
    "a folder that is a file too": tar_of({"a/b": b"x"}, _entry("a", PLAIN)),
    "no archive": b"this is no archive" * 100,
    "half an archive": tar_of({"a": bytes(2000)})[:1024],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_code_is_refused_and_writes_nothing_outside(tmp_path: Path, what: str) -> None:
    site = make(tmp_path, HOSTILE[what])
    assert "code.tar: cannot be unpacked" in site.refused()
    assert not site.unpacked.exists() and not list(tmp_path.rglob("outside"))
    assert not Path("/outside").exists()
