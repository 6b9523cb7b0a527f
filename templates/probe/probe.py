"""Tells how a host's roles are, as a client sees them: in a file, which the node exporter reads.

`python3 -m probe.probe CONFIGURATION` runs for ever. What goes wrong stands in the file, or shows by its age.
"""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from .asking import ASK, Answer, Gateway, outcome_of
from .configuration import Configuration, Role
from .said import (
    GPU_FIGURES,
    RUNTIME,
    Gpu,
    NonsenseError,
    container_memory,
    gpus_listed,
    models_loaded,
    mounted,
    names_listed,
)
from .series import Found, RoleFound, Series

_LIST_S = 10  # a list costs nothing
_NVIDIA_SMI_S = 5
_REFUSALS = 5  # in a row; of fewer, nobody knows how a role is


class Gpus:
    """The host's GPUs. An nvidia-smi may hang, and not even end when it is killed."""

    def __init__(self) -> None:
        self._last: subprocess.Popen[str] | None = None

    def look(self) -> tuple[Gpu, ...]:
        """Ask. None are found where it fails, or is still hanging from the last time."""
        if self._last is not None and self._last.poll() is None:
            return ()
        program = mounted(Path("/proc/self/mountinfo").read_text(), "nvidia-smi") or "nvidia-smi"
        query = ",".join(("index", "name", *GPU_FIGURES))
        command = (program, f"--query-gpu={query}", "--format=csv,noheader,nounits")
        try:
            self._last = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
            )
            said, _ = self._last.communicate(timeout=_NVIDIA_SMI_S)
            return gpus_listed(said) if self._last.returncode == 0 else ()
        except subprocess.TimeoutExpired:
            if self._last is not None:
                self._last.kill()  # and not waited for
        except (OSError, NonsenseError):
            pass
        return ()


def runtime_memory(proc: Path) -> int | None:
    """Bytes that Ollama's processes have resident. None where none is seen.

    + proc: of the host
    """
    found = 0
    for process in proc.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if (process / "comm").read_text(errors="replace").strip() in RUNTIME:
                found += container_memory((process / "status").read_text(errors="replace"))
    return found or None


class Probe:
    """Asks, remembers what it found, and writes it down.

    + of: its configuration
    """

    def __init__(self, of: Configuration) -> None:
        self.of = of
        context = ssl.create_default_context(cafile=of.ca)
        # From Python 3.13 on, certificates must keep all of RFC 5280. A site's own CA may be older than that.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._gateway = Gateway(of.gateway, of.host, context, "")
        self._gpus = Gpus()
        self._found = Found({role: RoleFound() for role in of.roles})
        self._registry = CollectorRegistry()
        self._registry.register(Series(of, self._found))

    def round(self) -> None:
        """Ask for everything once. The file is written after each role: one that hangs hides no other."""
        started = time.monotonic()
        found = self._found
        self._gateway.key = Path(self.of.key).read_text().strip()
        self._lists()
        found.memory = runtime_memory(Path(self.of.proc))
        if self.of.gpu:
            found.gpus = self._gpus.look()
        self._write()  # a model that is not in memory may take minutes
        for name, role in self.of.roles.items():
            self._ask(name, role)
            self._write()
        found.run_s = time.monotonic() - started
        self._write()

    def _lists(self) -> None:
        """What there is, and what is loaded: nothing where there is no answer."""
        found = self._found
        found.loaded = ()
        for of in found.roles.values():
            of.missing = None
        try:
            found.loaded = models_loaded(self._gateway.listing("/api/ps", _LIST_S))
            names = names_listed(self._gateway.listing("/api/tags", _LIST_S))
        except Exception as error:
            _say(f"lists: {': '.join(outcome_of(error))}")
        else:
            for name, of in found.roles.items():
                of.missing = name not in names

    def _ask(self, name: str, role: Role) -> None:
        found = self._found.roles[name]
        loaded = self._loaded(role)
        cold = found.missing is False and not loaded
        found.answer, why = None, ""
        try:
            found.answer = ASK[role.kind](
                self._gateway, name, self.of.load_timeout_s if cold else self.of.timeout_s
            )
            outcome = "ok"
        except Exception as error:  # whatever it is, it stands in the file
            outcome, why = outcome_of(error)
        found.requests[outcome] += 1
        found.refused = found.refused + 1 if outcome == "refused" else 0
        if not 0 < found.refused < _REFUSALS:
            found.up = outcome == "ok"
            found.degraded = found.answer is not None and self._slow(found.answer, loaded)
        if outcome != found.outcome:
            _say(f"{name}: {outcome}{why and f': {why}'}")
            found.outcome = outcome

    def _loaded(self, role: Role) -> bool:
        names = {name.removesuffix(":latest") for name in role.names}
        return not names.isdisjoint(each.name for each in self._found.loaded)

    def _slow(self, answer: Answer, loaded: bool) -> bool:
        """Loading may take its time. Of a model that is loaded, Ollama counts a silent runner as loading."""
        return answer.answer_s - (0 if loaded else answer.cost.load_s) > self.of.degraded_s

    def _write(self) -> None:
        """By rename: nobody reads half of it. It need not outlive the host: a round writes it anew."""
        self._found.certificate_expires = self._gateway.expires
        self._found.last_run = time.time()
        output = Path(self.of.output)
        new = output.with_name(f".{output.name}.new")  # the node exporter reads *.prom
        new.write_bytes(generate_latest(self._registry))
        new.chmod(0o644)
        new.replace(output)


def _say(text: str) -> None:
    print(text, flush=True)


def main(path: str) -> None:
    """Go on for ever.

    + path: of the configuration
    """
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(0)
    )  # which the first process of a container has not by itself
    probe = Probe(Configuration.read(Path(path)))
    while True:
        started = time.monotonic()
        try:
            probe.round()
        except Exception as error:  # the file's age tells
            _say(f"round: {type(error).__name__}")
        time.sleep(max(1.0, probe.of.interval_s - (time.monotonic() - started)))


if __name__ == "__main__":
    main(sys.argv[1])
