"""Connections of the control node with the hosts of a chain."""

from __future__ import annotations

import os
import queue
import subprocess
import tempfile
import threading
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import IO

from sealift.errors import SealiftError
from sealift.host_paths import BLOBS, PARTIAL, ROOT
from sealift.ship.chain import Part
from sealift.ship.plan import LISTING
from sealift.ship.types import BlobPath
from sealift.ssh import Ssh

FOLDER = "/run/sealift-chain"  # on a host, while it is in a chain; the lock of its store keeps it to one
_HOST = resources.files("sealift.ship").joinpath("chain.pl").read_text()
_SCRIPT = f"""\
{LISTING}
set -eu
export LC_ALL=C
umask 022
mkdir -p "$1" "$2"
exec 9>>"$3"
flock -w 20 9 || {{ echo "another shipment runs here (process $(tail -n 1 "$3"))" >&2; exit 75; }}
echo $$ >"$3"
listing "$1" "$2"
exec perl -e "$5" "$1" "$2" "$4"
"""
_LINE_LIMIT = 1 << 12  # bytes; a host's line is foreign
Said = queue.SimpleQueue[tuple[str, str | None]]


class Session:
    """A host's connection."""

    def __init__(self, ssh: Ssh, said: Said) -> None:
        self.ssh, self._said = ssh, said
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `wait`)
        command = ssh.command(_SCRIPT, BLOBS, PARTIAL, f"{ROOT}/ship.lock", FOLDER, _HOST)
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )
        self._stdin, self._stdout = _there(self._child.stdin), _there(self._child.stdout)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while line := self._stdout.readline(_LINE_LIMIT):
            self._said.put((self.ssh.host, line.decode(errors="replace").rstrip("\n")))
        self._said.put((self.ssh.host, None))

    def say(self, text: str) -> None:
        """Send lines. A host that is gone is heard of by the end of what it says."""
        with suppress(BrokenPipeError):
            self._stdin.write(text.encode())
            self._stdin.flush()

    def why_it_ended(self) -> str:
        """What ssh says about it, without the host's name."""
        code = self._child.wait()
        self._stderr.seek(0)
        return str(self.ssh.failure(code, self._stderr.read())).removeprefix(f"{self.ssh.host}: ")

    def hang_up(self) -> None:
        """Let the host end all of it."""
        with suppress(BrokenPipeError):
            self._stdin.close()

    def wait(self, seconds: float) -> None:
        """Until it has ended, but not longer."""
        try:
            self._child.wait(max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(1)  # what ssh left behind may hold its pipe open, and then the thread ends with it
        self._stderr.close()


class Feeder:
    """Sends the chain's first host what it takes."""

    def __init__(self, ssh: Ssh, part: Part, blob_path: BlobPath) -> None:
        self.error: SealiftError | None = None
        self._child = subprocess.Popen(
            ssh.command(f"exec cat >{FOLDER}/in"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._pipe = _there(self._child.stdin)
        self._files = [
            (blob_path(item.blob.digest), item.taken, item.blob.size)
            for item in part.items
            if item.taken is not None
        ]
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def _send(self) -> None:
        try:
            for path, offset, size in self._files:
                self._send_file(path, offset, size)
        except SealiftError as error:
            self.error = error
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.error = SealiftError(f"{error.filename}: {error.strerror}. Import the bundle again.")
        finally:
            with suppress(OSError):
                self._pipe.close()

    def _send_file(self, path: Path, offset: int, size: int) -> None:
        with path.open("rb") as file:
            while offset < size:
                sent = os.sendfile(self._pipe.fileno(), file.fileno(), offset, size - offset)
                if not sent:
                    raise SealiftError(
                        f"{path}: has {offset} bytes, expected {size}. Import the bundle again."
                    )
                offset += sent

    def kill(self) -> None:
        """End it, wherever it is."""
        self._child.kill()
        self._child.wait()
        self._sender.join()


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # for the type checker
        raise AssertionError
    return pipe
