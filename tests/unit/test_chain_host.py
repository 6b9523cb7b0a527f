"""A host's part in a chain, by the script that hosts run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import pytest

SCRIPT = resources.files("sealift.ship").joinpath("chain.pl").read_text()
CONTENT = b"0123456789"
HEX, SIZE = hashlib.sha256(CONTENT).hexdigest(), len(CONTENT)


class Host:
    """A host that takes part. Its store and its folder for the time lie in a folder."""

    def __init__(self, folder: Path, script: str) -> None:
        self.blobs, self.partial, self.run = (folder / name for name in ("blobs", "partial", "run"))
        self.blobs.mkdir()
        self.partial.mkdir()
        (folder / "ssh").write_text(f"#!/bin/sh\nexec cat >{folder}/given\n")
        (folder / "ssh").chmod(0o755)
        self._log = folder / "said"
        with self._log.open("w") as said:
            self.child = subprocess.Popen(
                ["perl", "-e", script, self.blobs, self.partial, self.run],
                stdin=subprocess.PIPE,
                stdout=said,
                env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
            )
        self.until(lambda: "ready" in self.said)

    @property
    def said(self) -> list[str]:
        return self._log.read_text().splitlines()

    def hear(self, *lines: str) -> None:
        assert self.child.stdin
        self.child.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.child.stdin.flush()

    def until(self, there: Callable[[], object]) -> None:
        end = time.monotonic() + 10
        while not there():
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def part(self) -> int:
        """The first process that it began."""
        listed = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        self.until(listed.read_text)
        return int(listed.read_text().split()[0])


@contextmanager
def host_of(folder: Path, script: str = SCRIPT) -> Iterator[Host]:
    host = Host(folder, script)
    try:
        yield host
    finally:
        assert host.child.stdin
        host.child.stdin.close()
        host.child.wait(10)


def _ended(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_part_that_is_killed_is_told(tmp_path: Path) -> None:
    with host_of(tmp_path) as host:
        host.hear(f"item {HEX} {SIZE} 0 -", "go")
        os.kill(host.part(), signal.SIGKILL)
        host.until(lambda: "error its receiver was killed" in host.said)


def test_a_clock_that_is_set_ends_nothing(tmp_path: Path) -> None:
    jumping = "BEGIN { my $n = 0; *CORE::GLOBAL::time = sub { CORE::time() + 3600 * $n++ } }\n"
    with host_of(tmp_path, jumping + SCRIPT) as host:
        host.hear(f"item {HEX} {SIZE} 0 -", "go")
        with (host.run / "in").open("wb"):
            host.until(lambda: "waiting 1" in host.said)
        assert host.child.poll() is None


def test_who_waits_long_for_another_does_not_end(tmp_path: Path) -> None:
    script, count = re.subn(r"STUCK_S => [^,]+", "STUCK_S => 1", SCRIPT)
    assert count == 1
    with host_of(tmp_path, script) as host:
        host.hear(f"item {HEX} {SIZE} 0 0", "go 127.0.0.1 1")
        with (host.run / "in").open("wb", buffering=0) as pipe:
            pipe.write(CONTENT[:5])
            time.sleep(1.5)
            pipe.write(CONTENT[5:])
            host.until(lambda: "done" in host.said)
    assert (tmp_path / "given").read_bytes() == (host.blobs / HEX).read_bytes() == CONTENT


@pytest.mark.parametrize("from_", ["-", "0"])
def test_what_is_given_is_what_was_verified_or_has_just_come(tmp_path: Path, from_: str) -> None:
    with host_of(tmp_path) as host:
        stale = host.partial if from_ == "-" else host.blobs
        (host.blobs / HEX).write_bytes(CONTENT)
        (stale / HEX).write_bytes(b"01")
        host.hear(f"item {HEX} {SIZE} {from_} 0", "go 127.0.0.1 1")
        if from_ == "0":
            time.sleep(0.2)
            (host.run / "in").write_bytes(CONTENT)
        host.until(lambda: "done" in host.said)
    assert (tmp_path / "given").read_bytes() == CONTENT


def test_what_it_began_ends_with_it(tmp_path: Path) -> None:
    with host_of(tmp_path) as host:
        host.hear(f"item {HEX} {SIZE} 0 -", "go")
        receiver = host.part()
        with (host.run / "in").open("wb"):
            host.child.kill()
            host.until(lambda: _ended(receiver))


def test_a_disk_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    with host_of(tmp_path) as host:
        host.hear(f"item {HEX} {SIZE} 0 -", "go")
        receiver = host.part()
        host.until((host.run / "in").exists)
        shutil.rmtree(host.run)
        host.hear("file key", "secret", ".")
        host.until(lambda: _ended(receiver))
        assert host.said[-1].startswith("error ")


def test_a_number_of_a_process_that_is_another_ones_by_now_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        with host_of(tmp_path) as host:
            (host.run / "pid").write_text(f"{stranger.pid}\n")
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("read", [True, False])
def test_what_takes_the_bytes_in_ends_with_it(tmp_path: Path, read: bool) -> None:
    """As sshd runs it; where nobody reads yet, the shell waits before its exec."""
    with host_of(tmp_path) as host:
        command = ["sh", "-c", f"echo $$ >{host.run}/pid; exec cat >{host.run}/in"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as taker:
            if read:
                host.hear(f"item {HEX} {SIZE} 0 -", "go")
                host.until(lambda: Path(f"/proc/{taker.pid}/comm").read_text() == "cat\n")
            number = f"{taker.pid}\n"  # a file that is there may be empty yet
            host.until(lambda: (host.run / "pid").exists() and (host.run / "pid").read_text() == number)
            host.child.terminate()
            try:
                assert taker.wait(10) == -signal.SIGTERM
            finally:
                taker.kill()
