"""Connections of the control node with the hosts of a chain."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from typing import IO

from sealift.captured import errors_in
from sealift.errors import SealiftError
from sealift.host_paths import BLOBS, PARTIAL, ROOT
from sealift.ship.chain import Part
from sealift.ship.pace import Pace, send_file
from sealift.ship.plan import LISTING
from sealift.ship.types import BlobPath
from sealift.ssh import MOST, Ssh

FOLDER = "/run/sealift-chain"  # on a host, while it is in a chain; the lock of its store keeps it to one
_HOST = resources.files("sealift.ship").joinpath("chain.pl").read_text()
UNIT = "sealift-chain"
_INNER = f"""\
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
# In a unit of its own: what it takes of the host has limits, and all of it ends with it, whatever happens.
# A `$` is doubled, because systemd puts variables in.
# Source: systemd-run(1), systemd.service(5), systemd.exec(5), systemd.resource-control(5).
_SCRIPT = f"""\
inner=$1 perl=$6
if [ ! -d /run/systemd/system ] || ! command -v systemd-run >/dev/null; then
    exec sh -c "$inner" {UNIT} "$2" "$3" "$4" "$5" "$perl"
fi
tries=0
while [ "$(systemctl show -p LoadState --value {UNIT}.service)" = loaded ] && [ $tries -lt 20 ]; do
    tries=$((tries + 1))
    sleep 1
done
doubled() {{ printf '%s\\n' "$1" | sed 's/[$]/$$/g'; }}
exec systemd-run --quiet --pipe --wait --collect --unit={UNIT} \\
    --description="sealift passes a release on to the next host" \\
    --property=MemoryMax=256M --property=Nice=10 --property=CPUWeight=20 --property=IOWeight=20 \\
    --property=RuntimeDirectory={UNIT} --property=RuntimeDirectoryMode=0700 --property=TimeoutStopSec=10 \\
    sh -c "$(doubled "$inner")" {UNIT} "$2" "$3" "$4" "$5" "$(doubled "$perl")"
"""
_LINE_LIMIT = 1 << 12  # bytes; a host's line is foreign
_UNHEARD = 100_000  # lines of all hosts; each takes a hundred bytes here, however short it is
_PAUSE_S = 0.01
Said = queue.SimpleQueue[tuple[str, str | None]]


class Session:
    """A host's connection."""

    def __init__(self, ssh: Ssh, said: Said) -> None:
        self.ssh, self._said = ssh, said
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `wait`)
        command = ssh.command(_SCRIPT, _INNER, BLOBS, PARTIAL, f"{ROOT}/ship.lock", FOLDER, _HOST)
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
        )
        self._stdin, self._stdout = _there(self._child.stdin), _there(self._child.stdout)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        left = MOST
        while line := self._stdout.readline(_LINE_LIMIT):
            left -= len(line)
            while self._said.qsize() > _UNHEARD and self._child.poll() is None:
                time.sleep(_PAUSE_S)
            if left < 0:
                why = self.ssh.too_much(MOST).removeprefix(f"{self.ssh.host}: ")
                self._said.put((self.ssh.host, f"error {why}"))
                self._child.kill()
                break
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
        return str(self.ssh.failure(code, errors_in(self._stderr))).removeprefix(f"{self.ssh.host}: ")

    def hang_up(self) -> None:
        """Let the host end all of it."""
        with suppress(BrokenPipeError):
            self._stdin.close()

    def cut(self) -> None:
        """End it here and now: the host does not answer."""
        self._child.kill()

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

    def __init__(self, ssh: Ssh, part: Part, blob_path: BlobPath, paces: Sequence[Pace]) -> None:
        self.error: SealiftError | None = None
        self._child = subprocess.Popen(
            ssh.command(f"exec cat >{FOLDER}/in"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._pipe, self._paces = _there(self._child.stdin), paces
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
                for _ in send_file(self._pipe.fileno(), path, offset, size, self._paces):
                    pass
        except SealiftError as error:
            self.error = error
        except BrokenPipeError:  # the host is gone: `cut` tells
            pass
        finally:
            with suppress(OSError):
                self._pipe.close()

    @property
    def cut(self) -> bool:
        """Whether its connection failed, or never was there."""
        return bool(self._child.poll())

    def kill(self) -> None:
        """End it, wherever it is."""
        self._child.kill()
        self._child.wait()
        self._sender.join()


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # for the type checker
        raise AssertionError
    return pipe
