"""START.py as it lies on media: what it verifies and refuses, and how it goes on in the code it unpacked."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.bundle import signature
from tests.unit import samples
from tests.unit.start_media import MAIN, TELLS, Site, make, tar_of

CHECKOUT = Path(__file__).parents[2]


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
