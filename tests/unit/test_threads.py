"""Several things at once: in order, and ended by the first error, or by the user, whatever is still to do."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content, digest_of
from sealift.errors import SealiftError
from sealift.progress import Meter, StoppedError, silent
from sealift.sources.arrivals import Arrivals
from sealift.threads import at_once
from tests.fuzz.over_http import answer, asking

_BLOB = bytes(range(256)) * 4
_HUGE = 1 << 40  # bytes of a file without content: hours of hashing


def test_results_are_in_the_order_of_the_items() -> None:
    order = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            order.wait(10)  # ends after the second one
        else:
            order.set()
        return number * number

    assert at_once(work, range(5), 2) == [0, 1, 4, 9, 16]
    assert at_once(work, [], 2) == []


def test_so_many_work_at_once_and_no_more() -> None:
    together, most, guard = threading.Barrier(3), [0, 0], threading.Lock()

    def work(_: int) -> None:
        with guard:
            most[0] += 1
            most[1] = max(most)
        together.wait(10)  # broken, and so an error, where fewer than three come
        with guard:
            most[0] -= 1

    at_once(work, range(9), 3)
    assert most == [0, 3]


def test_the_first_error_ends_what_counts_on_the_meter_and_begins_no_more() -> None:
    meter, begun, ended = Meter("working", 0, silent), [], []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise SealiftError("wrong")
        try:
            while True:
                meter.add(1)
                time.sleep(0.01)
        except StoppedError:
            ended.append(number)
            raise

    with pytest.raises(SealiftError, match=r"^wrong$"):
        at_once(work, range(9), 2, meter)
    assert (sorted(begun), ended) == ([0, 1], [0])


def test_what_is_being_copied_when_another_one_fails_is_not_left_behind(tmp_path: Path) -> None:
    sparse, store, meter = tmp_path / "sparse", BlobStore(tmp_path / "store"), Meter("copying", 0, silent)
    with sparse.open("wb") as file:
        file.truncate(64 << 20)
    copying = threading.Event()

    def note(count: int) -> None:
        copying.set()
        time.sleep(0.05)  # a slow medium
        meter.add(count)

    def work(size: int) -> None:
        if size == 0:
            copying.wait(10)
            raise SealiftError("wrong")
        blob = Blob(digest=f"sha256:{'0' * 64}", size=size)
        store.put(blob, Content.of_file(sparse), "x", note)

    with pytest.raises(SealiftError, match=r"^wrong$"):
        at_once(work, (64 << 20, 0), 2, meter)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_hashes_for_hours_ends_when_it_is_told_to(
    sent: signal.Signals, code: int, tmp_path: Path
) -> None:
    store = BlobStore(tmp_path / "depot")
    store.put_bytes(b"small")
    with store.path(Blob(digest=f"sha256:{'0' * 64}", size=_HUGE)).open("wb") as file:
        file.truncate(_HUGE)
    with subprocess.Popen(
        (Path(sys.executable).with_name("sealift"), "fsck", "--depot", tmp_path / "depot"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a shell that started these tests in the background has SIGINT ignored, in all that they start too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            _wait_until_it_reads(process.pid, _HUGE)
            process.send_signal(sent)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said.splitlines()[-1:]) == (
        code,
        ["interrupted: run the same command again, it goes on where it stopped"],
    )


def _wait_until_it_reads(pid: int, size: int) -> None:
    """Until a process has a file of that size open."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if handle.stat().st_size == size:
                    return
            except FileNotFoundError:  # closed just now
                continue
        time.sleep(0.05)
    raise AssertionError("it never opened the file")


def test_a_download_whose_beginning_a_power_cut_spoilt_is_fetched_again(tmp_path: Path) -> None:
    blob = digest_of(_BLOB)
    coming = tmp_path / "coming"
    coming.mkdir()
    (coming / blob.hex).write_bytes(bytes(len(_BLOB) - 1))  # zeros, as ext4 leaves what was never written
    last = len(_BLOB) - 1
    rest = answer(_BLOB[-1:], "206 Partial Content", f"Content-Range: bytes {last}-{last}/{len(_BLOB)}")
    counted: list[int] = []
    with asking([rest, answer(_BLOB)], tmp_path) as registry:
        arrived = Arrivals(tmp_path).download(blob, registry.reader(blob.digest), "x", counted.append)
    assert arrived.path.read_bytes() == _BLOB
    assert sum(counted) == len(_BLOB)


def test_who_waits_for_what_another_one_fetches_is_told_so(tmp_path: Path) -> None:
    blob, told = digest_of(_BLOB), threading.Event()
    coming = tmp_path / "coming"
    coming.mkdir()
    arrivals = Arrivals(tmp_path, lambda what, *_: told.set() if what.startswith("waiting for") else None)
    with asking([answer(_BLOB)], tmp_path) as registry, ThreadPoolExecutor(1) as pool:
        with (coming / blob.hex).open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            arrived = pool.submit(arrivals.download, blob, registry.reader(blob.digest), "x", lambda _: None)
            assert told.wait(30)
        assert arrived.result(30).path.read_bytes() == _BLOB
