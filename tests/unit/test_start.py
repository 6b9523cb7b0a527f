"""START.py as it lies on media: what it verifies and refuses, and how it goes on in the code it unpacked."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.content import digest_of
from sealift.files import canonical_json
from sealift.install.start import Media
from sealift.media.table import Named, Table, cut, dump_table, part_name, part_sizes
from sealift.media.write import write_media
from sealift.oci import layout
from sealift.progress import silent
from sealift.release.locked import LockedControl
from sealift.release.lockfile import dump_lock
from sealift.release.types import Control
from tests.unit import samples

# Stands for the deployment code: tells what it was started with.
TELLS = b"import json, sys\nprint(json.dumps([sys.argv, sys.flags.isolated]))\n"
CHECKOUT = Path(__file__).parents[2]
MAIN = "sealift/install/__main__.py"


@dataclass(frozen=True)
class Site:
    """Media, and what a machine needs to start from them."""

    media: Path
    allowed: Path
    key: Path
    code: Blob
    to: Path

    def start(
        self,
        *more: str | Path,
        isolated: bool = True,
        path: str = "",
        limit_s: float = 60,
        python: str = sys.executable,
    ) -> subprocess.CompletedProcess[str]:
        command = [python, *(["-I"] if isolated else []), str(self.media / "START.py")]
        given = ["--allowed-signers", self.allowed, "--to", self.to, *more]
        environment = {**os.environ, **({"PATH": path} if path else {})}
        return subprocess.run(
            [*command, *map(str, given)], env=environment, capture_output=True, text=True, timeout=limit_s
        )

    def refused(self, *more: str | Path, path: str = "") -> str:
        done = self.start(*more, path=path)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        return " ".join(done.stderr.split())

    @property
    def unpacked(self) -> Path:
        return self.to / "starting" / self.code.hex

    @property
    def table_digest(self) -> str:
        return hashlib.sha256((self.media / "TABLE.txt").read_bytes()).hexdigest()

    def sign_again(self) -> None:
        """What somebody does who has the key and bad intentions."""
        table = (self.media / "TABLE.txt").read_bytes()
        (self.media / "TABLE.txt.sig").write_bytes(signature.sign(table, self.key))


def tar_of(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in more:
            archive.addfile(info)
    return file.getvalue()


def make(folder: Path, code: bytes, size: int = 4096) -> Site:
    """Media of a bundle with a release that has `code` for the control node, and a model's bytes beside."""
    site = samples.site(folder)
    control = LockedControl(code=digest_of(code), requirements=digest_of(b"# none\n"), wheels=())
    release = site.lock.release.model_copy(update={"control": Control(packages=("openssh-client",))})
    lock = site.lock.model_copy(update={"control": control, "release": release})
    bundle = folder / "bundle"
    store = BlobStore(bundle)

    def put(content: bytes, kind: str, **annotations: str) -> dict[str, object]:
        blob = store.put_bytes(content)
        noted = {"annotations": annotations} if annotations else {}
        return {"mediaType": kind, "digest": blob.digest, "size": blob.size, **noted}

    empty = put(b"{}", layout.OCI_EMPTY)
    layers = [put(content, layout.FILE_TYPE) for content in (code, b"# none\n", bytes(20_000))]
    manifests = {
        layout.RELEASE_REF: {"config": put(dump_lock(lock), layout.LOCK_TYPE), "layers": [empty]},
        layout.CONTROL_REF: {"config": empty, "layers": layers},
    }
    entries = [
        put(canonical_json(manifest), layout.OCI_MANIFEST, **{layout.REF_NAME: ref})
        for ref, manifest in manifests.items()
    ]
    index = canonical_json({"schemaVersion": 2, "manifests": entries})
    (bundle / "index.json").write_bytes(index)
    (bundle / "index.json.sig").write_bytes(signature.sign(index, site.key))
    (bundle / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
    store.sweep()
    write_media(bundle, folder / "media", size, site.key, frozenset(), silent)
    return Site(folder / "media", site.allowed, site.key, control.code, folder / "to")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make(tmp_path, tar_of({MAIN: TELLS, "deploy.py": b"pass\n"}))


@pytest.fixture
def without_ssh_keygen(tmp_path: Path) -> str:
    """A PATH of a machine on which openssh-client is not installed."""
    (tmp_path / "bin").mkdir()
    return str(tmp_path / "bin")


def test_it_goes_on_in_the_code_that_the_table_names(site: Site) -> None:
    done = site.start()
    assert done.returncode == 0, done.stderr
    said, told = done.stdout.splitlines()
    assert said == "media       signed by release@example.org"
    started, isolated = json.loads(told)
    assert started == [
        *(str(site.unpacked / MAIN), site.table_digest, str(site.allowed), str(site.to), str(site.media))
    ]
    assert isolated == 1
    assert (site.unpacked / "deploy.py").read_bytes() == b"pass\n"


def test_a_second_start_leaves_the_code_alone(site: Site) -> None:
    site.start()
    (site.unpacked / "of-the-site").write_text("kept")
    assert site.start().returncode == 0
    assert (site.unpacked / "of-the-site").read_text() == "kept"


def test_what_a_killed_start_left_is_done_again(site: Site) -> None:
    left = site.unpacked.with_name(f".{site.unpacked.name}.partial")
    (left / "sealift/install").mkdir(parents=True)
    (left / MAIN).write_text("raise SystemExit('half of it')")
    assert site.start().returncode == 0
    assert [path.name for path in site.unpacked.parent.iterdir()] == [site.unpacked.name]


def test_without_isolation_it_refuses_before_it_imports_from_the_media(site: Site, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for name in ("argparse", "json", "hashlib", "__future__"):
        (site.media / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    done = site.start(isolated=False)
    assert done.returncode == 1
    assert done.stderr.startswith("START.py: was started without -I, expected python3 -I START.py.")
    assert site.start().returncode == 0
    assert not mark.exists()


def test_help_tells_what_it_does(site: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(site.media / "START.py"), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "a bare Debian" in done.stdout and "docs/install.md" in done.stdout


def _altered(site: Site) -> str:
    table = site.media / "TABLE.txt"
    table.write_bytes(table.read_bytes().replace(b"part ", b"part 0", 1))
    return f"{table}: is signed by release@example.org, but not with this content in {site.allowed}. Refuse"


def _unsigned(site: Site) -> str:
    (site.media / "TABLE.txt.sig").unlink()
    return f"{site.media}/TABLE.txt.sig: cannot be read: No such file or directory. Check the path."


def _foreign(site: Site) -> str:
    stranger = samples.signing_key(site.media.parent / "stranger")
    table = (site.media / "TABLE.txt").read_bytes()
    (site.media / "TABLE.txt.sig").write_bytes(signature.sign(table, stranger))
    return f"{site.media}/TABLE.txt: is signed by nobody in {site.allowed}. Refuse these media"


def _for_something_else(site: Site) -> str:
    table = (site.media / "TABLE.txt").read_bytes()
    (site.media / "TABLE.txt.sig").write_bytes(signature.sign(table, site.key, namespace="git"))
    return "but not with this content"


def _no_list(site: Site) -> str:
    site.allowed.unlink()
    return f"{site.allowed}: cannot be read: No such file or directory. Check the path."


def _no_table(site: Site) -> str:
    (site.media / "TABLE.txt").unlink()
    return f"{site.media}/TABLE.txt: cannot be read"


@pytest.mark.parametrize("change", [_altered, _unsigned, _foreign, _for_something_else, _no_list, _no_table])
def test_media_that_nobody_allowed_has_signed_are_refused(site: Site, change: Callable[[Site], str]) -> None:
    expected = change(site)
    assert expected in site.refused()
    assert not site.to.exists()


def test_a_digest_that_came_by_another_way_must_fit_beside_the_signature(site: Site) -> None:
    assert site.start("--table-digest", site.table_digest).returncode == 0
    wrong = "0" * 64
    assert f"its SHA-256 is {site.table_digest}, expected {wrong}" in site.refused("--table-digest", wrong)
    _foreign(site)
    assert "is signed by nobody" in site.refused("--table-digest", site.table_digest)


def test_without_ssh_keygen_the_digest_is_asked_for_and_will_do(site: Site, without_ssh_keygen: str) -> None:
    refused = site.refused(path=without_ssh_keygen)
    assert refused.startswith(
        "ssh-keygen: not found, so nothing says who made these media. Add --table-digest"
    )
    wrong = site.refused("--table-digest", "0" * 64, path=without_ssh_keygen)
    assert "expected 000" in wrong and not site.to.exists()
    done = site.start("--table-digest", site.table_digest, path=without_ssh_keygen)
    assert done.returncode == 0
    assert done.stdout.startswith("media       as --table-digest says\n")


def test_the_control_nodes_files_come_first(site: Site) -> None:
    files = [
        line.split()[3] for line in (site.media / "TABLE.txt").read_text().splitlines() if line[:5] == "file "
    ]
    first = files[: files.index("index.json")]
    assert f"blobs/sha256/{site.code.hex}" in first
    assert f"blobs/sha256/{digest_of(bytes(20_000)).hex}" not in first


def _parts_of_the_code(site: Site) -> list[str]:
    media = Media([site.media], (site.media / "TABLE.txt").read_bytes())
    item = media.files[f"blobs/sha256/{site.code.hex}"]
    return [part.name for part, _, _ in media.slices(item)]


def test_a_damaged_part_is_named_and_a_good_copy_of_it_will_do(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.media, tmp_path / "copy")
    name = _parts_of_the_code(site)[0]
    content = bytearray((site.media / name).read_bytes())
    content[:] = bytes(byte ^ 1 for byte in content)
    (site.media / name).write_bytes(content)
    refused = site.refused()
    assert f"blobs/sha256/{site.code.hex}: is not what the table says, so {name} " in refused
    assert not site.unpacked.exists()
    assert site.start(site.media, tmp_path / "copy").returncode == 0


def test_a_part_that_is_elsewhere_is_named(site: Site, tmp_path: Path) -> None:
    name = _parts_of_the_code(site)[0]
    (tmp_path / "other").mkdir()
    (site.media / name).rename(tmp_path / "other" / name)
    assert f"{name}: is needed to start, and not whole in {site.media}." in site.refused()
    assert site.start(site.media, tmp_path / "other").returncode == 0


def test_a_truncated_part_is_not_whole(site: Site) -> None:
    name = _parts_of_the_code(site)[0]
    os.truncate(site.media / name, 10)
    assert f"{name}: is needed to start, and not whole in" in site.refused()


def test_two_do_not_install_at_once(site: Site) -> None:
    site.to.mkdir()
    handle = os.open(site.to, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(subprocess.TimeoutExpired) as waited:
            site.start(limit_s=3)
    finally:
        os.close(handle)
    said = (waited.value.stderr or b"").decode()
    assert said == f"{site.to}: another installation is running in it, waiting for its end\n"
    assert not site.unpacked.exists()
    assert site.start().returncode == 0


def test_a_daemon_that_a_package_has_started_does_not_hold_up_the_next_installation(site: Site) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path;"
        "from sealift.install.start import hold; from sealift.install.commands import run;"
        "hold(Path(sys.argv[2]));"
        "print(run(['sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $!'], {}).stdout)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, CHECKOUT, site.to], check=True, capture_output=True, text=True
    )
    try:
        done = site.start(limit_s=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert Path(f"/proc/{int(ran.stdout)}/cmdline").read_bytes().startswith(b"sleep")
    finally:
        os.kill(int(ran.stdout), signal.SIGKILL)


def test_a_table_without_code_says_what_to_do(site: Site) -> None:
    table = site.media / "TABLE.txt"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("code ")))
    site.sign_again()
    assert "names no code for a control node. Add `control` to the release file." in site.refused()


def test_a_delta_is_told_from_a_whole_bundle(site: Site) -> None:
    table = site.media / "TABLE.txt"
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(x for x in lines if not (x[:5] == "file " and site.code.hex in x)))
    site.sign_again()
    assert "If they carry an upgrade, use the control node that runs" in site.refused()


@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(50, 3000))
def test_it_finds_files_in_parts_where_media_read_does(sizes: list[int], size: int) -> None:
    files = tuple(
        Named(
            f"blobs/sha256/{digest_of(bytes([n])).hex}", digest_of(bytes([n])).model_copy(update={"size": s})
        )
        for n, s in enumerate([*sizes, 1])
    )
    parts = tuple(
        Named(part_name(number), digest_of(b"").model_copy(update={"size": s}))
        for number, s in enumerate(part_sizes(files, size), 1)
    )
    table = Table(digest_of(b"help"), digest_of(b"start"), None, parts, files)
    media = Media([], dump_table(table))
    found = {
        (item.name, part.name, offset, length)
        for item in media.files.values()
        for part, offset, length in media.slices(item)
    }
    expected = set()
    for part, pieces in zip(parts, cut(files, [p.blob.size for p in parts]), strict=True):
        at = 0
        for piece in pieces:
            if piece.size:
                expected.add((piece.file.name, part.name, at, piece.size))
            at += piece.size
    assert found == expected
