"""What another machine says is taken up to a bound, wherever it is asked."""

from __future__ import annotations

import hashlib
import io
import os
import queue
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.captured import MOST_ERRORS, TooMuchError, captured
from sealift.clients.usage import read_logs
from sealift.depot.repair import HostStore
from sealift.errors import SealiftError
from sealift.host.settings import DockerSettings
from sealift.ship import chain_session, over_ssh
from sealift.ship.types import Order, Shipped
from sealift.site.inventory import Host
from sealift.ssh import MOST, Ssh
from tests.unit.fleet_site import site_settings

H1 = Ssh("h1", Path("no ssh_config"))
CONTENT = b"weights"
BLOB = Blob(digest=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", size=len(CONTENT))
FLOOD = "exec cat /dev/zero"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script that is every host: what it says, it says over SSH."""
    script = tmp_path / "bin/ssh"
    script.parent.mkdir()
    script.touch(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return script


def _sh(script: str, given: bytes = b"", most: int = 1000, into: Any = None) -> Any:
    return captured(["sh", "-c", script], given, 20, most, into)


def test_all_that_is_said_is_given() -> None:
    given = b"0123456789" * 50_000  # more than pipes hold
    echoed = _sh("cat; echo x >&2; exit 3", given, len(given))
    assert (echoed.returncode, echoed.stdout, echoed.stderr) == (3, given, b"x\n")
    file = io.BytesIO()
    assert _sh("cat", given, len(given), file).stdout == b"" and file.getvalue() == given
    unread = _sh("exec <&-; echo y", given)
    assert (unread.returncode, unread.stdout) == (0, b"y\n")


@pytest.mark.parametrize("script", ["head -c 1001 /dev/zero", FLOOD, f"{FLOOD} >&2"])
def test_who_says_too_much_is_ended(script: str, tmp_path: Path) -> None:
    with pytest.raises(TooMuchError):
        _sh(f"echo $$ >{tmp_path}/pid; {script}")
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


@pytest.mark.parametrize(
    "script", ["sleep 60", "exec <&- >&- 2>&-; sleep 60", "while sleep 0.05; do echo; done"]
)
def test_who_takes_too_long_is_ended(script: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        captured(["sh", "-c", f"echo $$ >{tmp_path}/pid; {script}"], b"", 0.3, 1000)
    assert time.monotonic() - begun < 10
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_host_that_says_too_much_is_told(host: Path) -> None:
    host.write_text(f"#!/bin/sh\n{FLOOD}\n")
    for ask in (H1.run, H1.run_long, lambda script: H1.run_with(script, b"secret")):
        with pytest.raises(SealiftError, match=f"^h1: says more than {MOST} bytes, expected less"):
            ask("true")


def test_a_gateways_log_may_be_as_large_as_its_site_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    most: list[int] = []

    def run(_: Ssh, *__: str, **more: Any) -> str:
        most.append(more["most"])
        return ""

    monkeypatch.setattr(Ssh, "run", run)
    docker = DockerSettings(log_max_size="2g", log_max_file=5)
    settings = site_settings().model_copy(update={"docker": docker})
    read_logs([Host("h1", frozenset(), settings)], datetime.now(UTC))
    assert 10 * 10**9 < most[0] < 11 * 10**9


def test_a_blob_is_fetched_from_a_host_up_to_its_size(host: Path, tmp_path: Path) -> None:
    host.write_text(f'#!/bin/sh\ncase "$*" in *head*) {FLOOD} ;; *) echo yes ;; esac\n')
    store = BlobStore(tmp_path / "store")
    with pytest.raises(SealiftError, match=f"^h1: says more than {BLOB.size} bytes"):
        HostStore(H1).restore(BLOB, store)
    host.write_text(f'#!/bin/sh\ncase "$*" in *head*) printf {CONTENT.decode()} ;; *) echo yes ;; esac\n')
    assert HostStore(H1).restore(BLOB, store)
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == [BLOB.hex]


@pytest.mark.parametrize("flood", [FLOOD, "exec yes ''"])
def test_a_listing_without_an_end_is_told(host: Path, monkeypatch: pytest.MonkeyPatch, flood: str) -> None:
    monkeypatch.setattr(over_ssh, "MOST", 1 << 20)
    host.write_text(f"#!/bin/sh\n{flood}\n")
    shipped = over_ssh.over_ssh([Order(H1, (BLOB,), 0)], Path, lambda *_: None)
    assert str(shipped.errors["h1"]).startswith("h1: says more than 1048576 bytes")


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("echo 'disk is broken' >&2; exit 3", "a command failed there with exit code 3: disk is broken."),
        ("exit 255", "the command there was killed or the connection cut"),
    ],
)
@pytest.mark.parametrize("noise", [0, MOST_ERRORS, 3 * MOST_ERRORS])
def test_why_a_host_ended_is_told_however_much_noise_is_before_it(
    host: Path, end: str, told: str, noise: int
) -> None:
    host.write_text(
        f"#!/bin/sh\necho 'sealift: begins' >&2\nyes noise | head -c {noise} >&2\necho >&2\n{end}\n"
    )
    shipped = over_ssh.over_ssh([Order(H1, (BLOB,), 0)], Path, lambda *_: None)
    assert str(shipped.errors["h1"]).startswith(f"h1: {told}")
    session = chain_session.Session(H1, queue.SimpleQueue())
    assert session.why_it_ended().startswith(told)
    session.wait(10)


def test_a_blob_that_nobody_sent_cannot_be_a_bad_one(host: Path, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(CONTENT)
    host.write_text(
        "#!/bin/sh\necho free 99999999; echo ready; read -r line\n"
        f"head -c {BLOB.size} >/dev/null; echo bad {'0' * 64}; echo done; exec cat >/dev/null\n"
    )
    shipped = over_ssh.over_ssh([Order(H1, (BLOB,), 0)], lambda _: tmp_path / "blob", lambda *_: None)
    assert shipped.all() == {"h1": Shipped(1, BLOB.size)}


def test_all_that_is_said_of_a_bad_blob_is_heard(host: Path, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(CONTENT)
    attempt = f"read -r line; head -c {BLOB.size} >/dev/null; echo bad {BLOB.hex}; echo done"
    host.write_text(f"#!/bin/sh\necho free 99999999; echo ready; {attempt}; read -r end; {attempt}\n")
    shipped = over_ssh.over_ssh([Order(H1, (BLOB,), 0)], lambda _: tmp_path / "blob", lambda *_: None)
    assert "h1: blobs arrive with another content than their names say" in str(shipped.errors["h1"])


def test_a_host_of_a_chain_that_says_too_much_is_out(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_session, "MOST", 1 << 20)
    host.write_text("#!/bin/sh\nexec yes 'at 1'\n")
    said: chain_session.Said = queue.SimpleQueue()
    session = chain_session.Session(H1, said)
    lines = [said.get(timeout=10)]
    while lines[-1][1] is not None:
        lines.append(said.get(timeout=10))
    assert (lines[0], len(lines)) == (("h1", "at 1"), (1 << 20) // 5 + 2)
    assert str(lines[-2][1]).startswith("error says more than 1048576 bytes, expected less")
    session.why_it_ended()
    session.wait(10)


def test_no_more_lines_of_a_chain_are_taken_than_somebody_hears(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_session, "_UNHEARD", 100)
    host.write_text("#!/bin/sh\nyes '' | head -n 100000\n")
    said: chain_session.Said = queue.SimpleQueue()
    session = chain_session.Session(H1, said)
    while said.qsize() <= 100:
        time.sleep(0.01)
    time.sleep(0.2)
    assert said.qsize() == 101
    lines = [said.get(timeout=10)]
    while lines[-1][1] is not None:
        lines.append(said.get(timeout=10))
    assert len(lines) == 100_001
    session.wait(10)
    flooding = chain_session.Session(H1, said)
    while said.qsize() <= 100:
        time.sleep(0.01)
    flooding.wait(0.1)  # nobody hears it any more
    assert not flooding._reader.is_alive()
