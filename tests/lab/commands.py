"""Runs the commands that an operator types, and measures them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyrage
import yaml

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


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
        err, _, peak = err.rpartition("\npeak-memory-kib=")
        return Ran(child.returncode, out, err, time.monotonic() - started, int(peak) * 1024)

    def ok(self, *command: str | Path) -> Ran:
        """Run a command that must succeed."""
        ran = self.run(*command)
        assert ran.code == 0, f"{' '.join(map(str, command))} exited {ran.code}:\n{ran.out}\n{ran.err}"
        return ran

    def refused(self, *command: str | Path) -> Ran:
        """Run a command that must refuse with a message, not with a traceback."""
        ran = self.run(*command)
        assert ran.code != 0, f"{' '.join(map(str, command))} did not refuse:\n{ran.out}\n{ran.err}"
        assert "Traceback" not in ran.said
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

    def on(self, host: str, script: str) -> str:
        """Run a script on a lab host over OpenSSH."""
        return self.ok("ssh", "-F", self.lab / "ssh_config", host, script).out

    def changed_operations(self) -> dict[str, list[str]]:
        """Run deploy.py with pyinfra alone: what it changed, per host."""
        ran = self.ok("pyinfra", "inventories/lab/lab.py", "deploy.py", "-y", "--json")
        results = json.loads(ran.out)["results"]
        assert results["failed_hosts"] == [] and results["totals"]["error"] == 0
        hosts = sorted({host for op in results["operations"] for host in op["success"] + op["no_change"]})
        return {host: [op["name"] for op in results["operations"] if host in op["success"]] for host in hosts}

    def api_key(self) -> str:
        """The key of the lab's demo client, opened with the lab's own identity."""
        identity = pyrage.x25519.Identity.from_str((self.lab / "age.key").read_text().split()[-1])
        secrets = pyrage.decrypt((self.lab / "secrets.age").read_bytes(), [identity])
        key: str = yaml.safe_load(secrets)["api_keys"]["demo"]
        return key
