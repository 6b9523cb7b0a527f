"""Commands on hosts over the system's OpenSSH, so that a site's own ssh_config holds: keys, bastions, ports.

Host keys are checked as that file says; nobody is ever asked anything.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Generic, TypeVar

from sealift.captured import TooMuchError, captured
from sealift.errors import SealiftError, one_line
from sealift.threads import at_once

T = TypeVar("T")

MOST = 64 << 20  # bytes that a host says in one answer; most say some kilobytes
_AT_ONCE = 64  # hosts; more processes than that slow each other down on a small control node
_SSH_FAILED = 255  # ssh(1): "or with 255 if an error occurred"
_NO_SPACE = "no space left on device"  # errno(3), ENOSPC, as all programs have it in the C locale
_BEGINS = "sealift: begins"  # on standard error, behind whatever the login shell of a host says there
# Source: release notes of OpenSSH 9.9, which brought the first, and has it go first from 10.0 on.
_CHEAP_QUANTUM_SAFE, _CHEAP = "mlkem768x25519-sha256", "curve25519-sha256"
_OF_THE_SITE = re.compile(r"^\s*(KexAlgorithms|Include)\b", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Ssh:
    """A host, as an ssh_config knows it.

    + host: its name there
    + config: the file
    + sudo: whether commands run as root by sudo, because root does not log in
    """

    host: str
    config: Path
    sudo: bool = False

    def command(self, script: str, *arguments: str) -> list[str]:
        """The argument list of a child process that runs a POSIX shell script on the host.

        The script is an argument, so that standard input is free for data. AES-GCM goes first, because it is
        about twice as fast as OpenSSH's own first choice (182 against 91 MiB/s); a host still decides.

        + arguments: $1, $2, ... of the script
        """
        become = ["sudo", "-n"] if self.sudo else []
        framed = f"echo '{_BEGINS}' >&2\n{script}"
        remote = shlex.join(["exec", *become, "sh", "-c", framed, "sealift", *arguments])
        options = (
            "BatchMode=yes",
            "ConnectTimeout=10",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "Ciphers=^aes128-gcm@openssh.com",
            "LogLevel=ERROR",
            *_key_exchange(self.config),
        )
        flags = [part for option in options for part in ("-o", option)]
        return ["ssh", "-F", str(self.config), "-T", *flags, "--", self.host, remote]

    def run(self, script: str, *arguments: str, timeout_s: float = 60, most: int = MOST) -> str:
        """Run a script on the host; give what it printed.

        + script: POSIX shell, without foreign data in it
        + arguments: foreign data: $1, $2, ... of the script
        + timeout_s: seconds for all of it
        + most: bytes that it may print

        Raises SealiftError where the host does not answer in time or says too much, or the script fails.
        """
        return self._run(self.command(script, *arguments), b"", timeout_s, most)

    def fetch(self, into: IO[bytes], script: str, *arguments: str, timeout_s: float, most: int) -> None:
        """Run a script on the host; what it prints goes into a file.

        Raises SealiftError as `run` does.
        """
        self._run(self.command(script, *arguments), b"", timeout_s, most, into)

    def run_long(self, script: str, timeout_s: float = 60) -> str:
        """Run a script that may be too long for an argument; it goes over standard input.

        Raises SealiftError as `run` does.
        """
        return self._run(self.command("exec sh -s"), script.encode(), timeout_s)

    def run_with(self, script: str, data: bytes, *arguments: str, timeout_s: float = 60) -> str:
        """Run a script that gets data over standard input, where secrets may be.

        Raises SealiftError as `run` does.
        """
        return self._run(self.command(script, *arguments), data, timeout_s)

    def _run(
        self,
        command: list[str],
        given: bytes,
        timeout_s: float,
        most: int = MOST,
        into: IO[bytes] | None = None,
    ) -> str:
        try:
            ran = captured(command, given, timeout_s, most, into)
        except subprocess.TimeoutExpired:
            raise SealiftError(
                f"{self.host}: no answer within {timeout_s:.0f} s. Look at its load and at the network."
            ) from None
        except TooMuchError as error:
            raise SealiftError(self.too_much(error.most)) from None
        if ran.returncode != 0:
            raise self.failure(ran.returncode, ran.stderr)
        return ran.stdout.decode(errors="replace")

    def too_much(self, most: int) -> str:
        """What to tell the user about a host that says more than so many bytes."""
        return (
            f"{self.host}: says more than {most} bytes, expected less. Look what its shell and its files "
            "make it say."
        )

    def failure(self, code: int, stderr: bytes) -> SealiftError:
        """What to tell the user about a command that failed.

        + code: exit code of ssh
        + stderr: what it and the script printed there
        """
        _, began, since = stderr.rpartition(f"{_BEGINS}\n".encode())
        said = last_line(since)
        if code == _SSH_FAILED and began:
            return SealiftError(
                f"{self.host}: the command there was killed or the connection cut, expected it to end. "
                "Run the same again: it goes on where it stopped."
            )
        if code == _SSH_FAILED:
            return SealiftError(
                f"{self.host}: does not answer over SSH ({said or 'silently'}), expected a shell. "
                f"Try: ssh -F {shlex.quote(str(self.config))} {shlex.quote(self.host)} true"
            )
        if self.sudo and not began:
            return SealiftError(
                f"{self.host}: its user may not use sudo without a password ({said or 'silently'}), expected "
                "sudo that asks for none. Add a line to /etc/sudoers.d there: USER ALL=(ALL) NOPASSWD: ALL"
            )
        if full := line_without_space(since.decode(errors="replace").splitlines()):
            return SealiftError(
                f"{self.host}: has no space left: {full}. Make room there, then run the same again."
            )
        return SealiftError(
            f"{self.host}: a command failed there with exit code {code}: {said or 'silently'}."
        )

    def address(self) -> str:
        """The host's address as ssh_config has it (`HostName`).

        Raises SealiftError where the file cannot be read.
        """
        ran = subprocess.run(
            ["ssh", "-G", "-F", str(self.config), "--", self.host], capture_output=True, check=False
        )
        for line in ran.stdout.decode(errors="replace").splitlines():
            key, _, value = line.partition(" ")
            if key == "hostname":
                return value
        raise SealiftError(f"{self.config}: cannot be read by ssh: {last_line(ran.stderr)}. Correct it.")


def _key_exchange(config: Path) -> tuple[str, ...]:
    """The option of ssh by which an older OpenSSH connects with a third of the processor time.

    Its own first choice, sntrup761x25519-sha512, takes it a tenth of a second for each connection. pyinfra's
    connections go by curve25519, too: paramiko knows nothing else that is as good. An OpenSSH with a cheap
    exchange that is safe from quantum computers keeps its own order, and so does a site that has a say.

    + config: the site's ssh_config
    """
    try:
        said = config.read_text(errors="replace")
    except OSError:  # which ssh tells best
        return ()
    if _OF_THE_SITE.search(said) or _knows(_CHEAP_QUANTUM_SAFE):
        return ()
    return (f"KexAlgorithms=^{_CHEAP}",)


@cache
def _knows(exchange: str) -> bool:
    """Whether this machine's ssh has a key exchange, which does not change while a command runs."""
    ran = subprocess.run(["ssh", "-Q", "kex"], capture_output=True, check=False)
    return exchange in ran.stdout.decode().split()


def line_without_space(lines: Iterable[str]) -> str | None:
    """The last line that says that a disk is full, without control characters."""
    found = [line for line in lines if _NO_SPACE in line.lower()]
    return one_line(found[-1].strip())[:300] if found else None


def last_line(output: bytes) -> str:
    """The last line that says something, without control characters: a host's output is foreign."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return "".join(c for c in lines[-1] if c.isprintable())[:300] if lines else ""


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """What came of a step on many hosts: a result or an error for each."""

    results: Mapping[str, T]
    errors: Mapping[str, SealiftError]

    def all(self) -> Mapping[str, T]:
        """The results, where no host failed. Raises SealiftError with the errors of all that did."""
        if self.errors:
            raise SealiftError("\n".join(str(error) for error in self.errors.values()))
        return self.results


def on_all(hosts: Sequence[str], step: Callable[[str], T]) -> Gathered[T]:
    """Do a step for each host at once, whatever becomes of the others.

    The threads are daemons: when the user interrupts, this process ends and its pipes close, on which both
    ends of each connection stop by themselves.

    + hosts: names; the order of results
    + step: may raise SealiftError
    """

    def attempt(host: str) -> T | SealiftError:
        try:
            return step(host)
        except SealiftError as error:
            return error

    found = dict(zip(hosts, at_once(attempt, hosts, _AT_ONCE), strict=True))
    return Gathered(
        {host: result for host, result in found.items() if not isinstance(result, SealiftError)},
        {host: result for host, result in found.items() if isinstance(result, SealiftError)},
    )
