"""Runs the commands that an operator types, and measures them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.files import write_if_changed
from sealift.site.secrets import open_secrets

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def _start_commands() -> list[str]:
    """Those of docs/install.md, with the lab's names."""
    page = (CHECKOUT / "docs/install.md").read_text()
    blocks: list[str] = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names = {"release@example.org": "release@lab", "/etc/sealift/allowed_signers": ALLOWED_SIGNERS}
    for name, ours in names.items():
        assert name in blocks[0], f"docs/install.md does not call it {name} any more"
        blocks = [block.replace(name, ours) for block in blocks]
    return blocks


ALLOWED_SIGNERS = "/srv/sealift/allowed_signers"
# What an operator types to make a control node; without ssh-keygen, DIGEST is that of the table.
START, START_BY_DIGEST = _start_commands()


@dataclass(frozen=True)
class Ran:
    """A finished command: exit code, output, seconds, and the peak memory of its largest process in bytes."""

    code: int
    out: str
    err: str
    seconds: float
    peak_memory: int

    @property
    def said(self) -> str:
        """Everything printed, without line breaks, for assertions on messages."""
        return " ".join((self.out + self.err).split())


@dataclass(frozen=True)
class Commands:
    """The commands of a checkout, against the lab whose state is in `lab`."""

    lab: Path

    def _environment(self) -> dict[str, str]:
        path = f"{BIN}:{os.environ['PATH']}"
        return {**os.environ, "SEALIFT_LAB": str(self.lab), "PATH": path, "COLUMNS": "160"}

    def _start(self, *command: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=CHECKOUT,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str | Path) -> Ran:
        """Run to the end, whatever its exit code."""
        started = time.monotonic()
        child = self._start(sys.executable, Path(__file__).with_name("measured.py"), *command)
        out, err = child.communicate()
        return _ran(child.returncode, out, err, time.monotonic() - started)

    def ok(self, *command: str | Path) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*command)
        assert ran.code == 0, f"{' '.join(map(str, command))} exited {ran.code}:\n{ran.out}\n{ran.err}"
        return ran

    def refused(self, *command: str | Path) -> Ran:
        """Run a command that must refuse with a message, not with a traceback."""
        ran = self.run(*command)
        assert ran.code != 0, f"{' '.join(map(str, command))} did not refuse:\n{ran.out}\n{ran.err}"
        assert "Traceback" not in ran.said, ran.said
        return ran

    def kill_after(self, seconds: float, *command: str | Path) -> bool:
        """SIGKILL a command and all its children after `seconds`. True if it was still running."""
        child = self._start(*command)
        try:
            child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return True
        return False

    def kill_at(self, said: str, *command: str | Path, lines: int = 1) -> bool:
        """SIGKILL a command and all its children once it has printed so many lines with these words.

        True if it was still running.
        """
        child = self._start(*command)
        left = lines
        assert child.stdout is not None
        for line in child.stdout:
            left -= said in line
            if left == 0:
                os.killpg(child.pid, signal.SIGKILL)
                break
        child.communicate()
        return child.returncode == -signal.SIGKILL

    @contextmanager
    def telling(self, *command: str | Path, code: int = 0) -> Iterator[Iterator[dict[str, Any]]]:
        """Have a command run that tells events, a line of JSON each: take each as it comes.

        Where what is done with them fails, the command is killed with all its children.

        + code: that it must exit with
        """
        child = self._start(*command)
        try:
            yield (json.loads(line) for line in child.stdout or ())
        except BaseException:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
            print(child.communicate()[1], file=sys.stderr)
            raise
        _, err = child.communicate()
        assert child.returncode == code, err

    def on(self, host: str, script: str) -> str:
        """Run a script as root on a lab host over OpenSSH; h2 refuses root, and has an administrator."""
        as_root = f"sudo -n sh -c {shlex.quote(script)}" if host == "h2" else script
        return self.ok("ssh", "-F", self.lab / "ssh_config", host, as_root).out

    def try_on_control(self, script: str) -> Ran:
        """Run a script on the control node, whatever its exit code; the memory is of its processes there."""
        measured = Path(__file__).with_name("measured.py").read_bytes()
        write_if_changed(self.lab / "control/measured.py", measured)
        command = f"python3 /srv/sealift/measured.py sh -ec {shlex.quote(script)}"
        ran = self.run("ssh", "-F", self.lab / "ssh_config", "control", command)
        return _ran(ran.code, ran.out, ran.err, ran.seconds)

    def on_control(self, script: str) -> Ran:
        """Run a script on the control node that must succeed."""
        ran = self.try_on_control(script)
        assert ran.code == 0, f"{script} exited {ran.code} on the control node:\n{ran.out}\n{ran.err}"
        return ran

    def changed_operations(self, inventory: str | Path = "inventories/lab/lab.py") -> dict[str, list[str]]:
        """Run deploy.py with pyinfra alone: what it changed, per host."""
        ran = self.ok("pyinfra", inventory, "deploy.py", "-y", "--json")
        results = json.loads(ran.out)["results"]
        assert results["failed_hosts"] == [] and results["totals"]["error"] == 0
        hosts = sorted({host for op in results["operations"] for host in op["success"] + op["no_change"]})
        return {host: [op["name"] for op in results["operations"] if host in op["success"]] for host in hosts}

    def api_key(self) -> str:
        """The key of the site's first client."""
        opened = open_secrets(self.site / "secrets.age", self.site / "identity")
        return opened.first_key(datetime.now(UTC).date()).get_secret_value()

    @property
    def site(self) -> Path:
        """What the site keeps beside its inventory: as `sealift init` made it, or as the lab did."""
        made = self.lab / "control/sites/lab"
        return made if made.is_dir() else self.lab


def _ran(code: int, out: str, err: str, seconds: float) -> Ran:
    """Take apart what measured.py adds to what a command says."""
    err, _, peak = err.rpartition("\npeak-memory-kib=")
    return Ran(code, out, err, seconds, int(peak) * 1024)
