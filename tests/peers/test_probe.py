"""The probe of roles before the real Envoy and a real Ollama, and what may happen to these."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sealift.progress import silent
from sealift.release.roles import placed_names
from sealift.site.secrets import ClientKeys, Secrets
from sealift.sources.arrivals import Arrivals
from sealift.sources.kinds import model_source
from sealift.sources.resolve import lock_contents
from sealift.sources.source import BuildMachine
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import gateway, ollama
from tests.peers.gateway import NEWEST, Gateway, keys_of, lock_of
from tests.peers.ollama import Ollama
from tests.probe import CLIENT, KEY, Told, configure, running
from tests.unit import fleet_site, samples
from tests.watch_tools import program

MODEL, EMBEDDING = "gemma3:270m", "all-minilm:22m"
WANTED = {MODEL: {"archive": "gemma3-270m.tar"}, EMBEDDING: {"archive": "all-minilm-22m.tar"}}
ROLES: dict[str, Any] = {
    "chat": {"model": MODEL, "threads": 1},
    "classify": {"model": MODEL, "threads": 1},
    "embed": {"model": EMBEDDING, "context": 512, "threads": 1},
}
ABSENT = "summarize"  # which the gateway lets through, and Ollama does not have


class Machine:
    """An Ollama in a PID namespace, as in a container, with a store; behind a gateway.

    + folder: with its store
    + program: Ollama's
    """

    def __init__(self, folder: Path, program: Path) -> None:
        environment = {**ollama.environment_in(folder), "OLLAMA_KEEP_ALIVE": "1h"}
        self.ollama = Ollama(program, environment)
        self.folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self.ollama.environment["OLLAMA_HOST"].rpartition(":")[2])

    def start(self) -> None:
        command = ("unshare", "--pid", "--fork", "--kill-child", self.ollama.program, "serve")
        with (self.folder / "log").open("ab") as log:
            self._child = subprocess.Popen(command, env=self.ollama.environment, stdout=log, stderr=log)
        ollama.wait(self._child, self.ollama, self.folder / "log")

    def stop(self) -> None:
        if self._child is not None:
            os.kill(self.processes()[0], signal.SIGTERM)
            self._child.wait(20)
            self._child = None

    def processes(self) -> list[int]:
        """The server, and behind it its runners."""
        assert self._child is not None
        found = _children(self._child.pid)
        return found + [runner for server in found for runner in _children(server)]

    def signal(self, number: signal.Signals, *, runners: bool) -> None:
        """Send it to the runners alone, or to the server alone."""
        server, *others = self.processes()
        for process in others if runners else [server]:
            os.kill(process, number)


def _children(process: int) -> list[int]:
    """Those of all its threads: any of them may start one."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    sources, folder = CHECKOUT / "build/ingredients", tmp_path_factory.mktemp("machine")
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", sources)
    build = BuildMachine(sources, Arrivals(folder / "cache", silent), silent, {})
    contents, wrong = lock_contents(samples.release(images={}, models=WANTED, roles=ROLES), build)
    assert wrong == []
    release = samples.release(models=WANTED, roles=ROLES)
    lock = fleet_site.lock().model_copy(update={"release": release, "models": contents.models})
    names = placed_names(lock, frozenset(), {role: its["model"] for role, its in ROLES.items()})
    texts = {layer.digest: content for _, layer, content in lock.made}
    finds = {
        blob.digest: model_source(name, release.models[name], build).open(model)
        for name, model in contents.models.items()
        for blob in model.blobs
    }

    ollama.place(folder, names, texts, lambda blob: finds[blob.digest](blob))
    found = Machine(folder, ollama.program(sources / "ollama-0.11.4.tar", folder))
    found.start()
    yield found
    found.stop()


@dataclass(frozen=True)
class Site:
    """A gateway before it.

    + folder: of the probe
    """

    folder: Path
    machine: Machine
    gateway: Gateway

    @contextmanager
    def probe(self, **more: Any) -> Iterator[Told]:
        """Run a probe, which forgets what one before has told."""
        roles = {
            role: {
                "kind": "embed" if its["model"] == EMBEDDING else "chat",
                "names": [name for name, other in ROLES.items() if other["model"] == its["model"]],
            }
            for role, its in {ABSENT: {"model": MODEL}, **ROLES}.items()
        }
        (self.folder / "metrics/probe.prom").unlink(missing_ok=True)
        settings = {"timeout_s": 200, "load_timeout_s": 200, **more}
        path = configure(self.folder, self.gateway.port, self.gateway.certificate, roles, **settings)
        with running(path) as told:
            yield told


@contextmanager
def _site(folder: Path, machine: Machine, envoy: Path, client: ClientKeys) -> Iterator[Site]:
    with gateway.serving(
        envoy,
        folder,
        lock_of(NEWEST),
        secrets=Secrets.model_construct(api_keys={CLIENT: client}),
        instead=machine.port,
        roles=(ABSENT, *ROLES),
        requests_per_minute=100_000,
    ) as found:
        yield Site(folder, machine, found)


@pytest.fixture(scope="module")
def site(machine: Machine, envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with _site(tmp_path_factory.mktemp("site"), machine, envoy_program, keys_of(CLIENT)) as found:
        yield found


def _up(told: Told) -> bool:
    return all(told.value("role_up", role=role) == 1 for role in ROLES)


def _down(told: Told) -> bool:
    return all(told.value("role_up", role=role) == 0 for role in ROLES)


def test_roles_are_up_with_real_figures(site: Site) -> None:
    with site.probe() as told:
        told.until(lambda: _up(told))
        told.until(lambda: len(told.read().get("sealift_model_loaded", {})) == 2)  # from the second round on
        first, answer = (
            told.value(f"role_{of}_seconds", role="classify") for of in ("first_token", "answer")
        )
        assert first is not None and answer is not None
        assert 0 < first < answer
        assert (told.value("role_tokens_per_second", role="classify") or 0) > 0
        assert told.value("role_degraded", role="classify") == 0
        assert {told.value("role_missing", role=role) for role in ROLES} == {0}
        assert set(told.read()["sealift_model_vram_bytes"].values()) == {0}  # there is no GPU
        sizes, memory = told.read()["sealift_model_size_bytes"].values(), told.value("runtime_memory_bytes")
        assert memory is not None
        assert memory > sum(sizes) / 3
        assert (told.value("role_answer_seconds", role="embed") or 0) > 0
        assert told.value("role_first_token_seconds", role="embed") is None
        assert told.value("role_tokens_per_second", role="embed") is None


def test_a_role_that_ollama_lacks_is_missing(site: Site) -> None:
    with site.probe() as told:
        told.until(lambda: told.value("role_up", role=ABSENT) == 0)
        assert told.value("role_missing", role=ABSENT) == 1
        assert told.value("probe_requests_total", role=ABSENT, outcome="failed") == 1


def test_a_runner_that_pauses_makes_its_role_slow(site: Site) -> None:
    site.machine.ollama.ask("/api/chat", model="chat")  # which loads it
    site.machine.signal(signal.SIGSTOP, runners=True)
    try:
        with site.probe(degraded_s=3) as told:
            told.until(lambda: told.value("role_up", role=ABSENT) == 0)  # so chat is being asked
            time.sleep(4)
            site.machine.signal(signal.SIGCONT, runners=True)
            told.until(lambda: told.value("role_up", role="chat") is not None)
            assert (told.value("role_up", role="chat"), told.value("role_degraded", role="chat")) == (1, 1)
    finally:
        site.machine.signal(signal.SIGCONT, runners=True)


def test_an_ollama_that_hangs_is_down_and_holds_up_no_other_role(site: Site) -> None:
    site.machine.signal(signal.SIGSTOP, runners=False)
    try:
        with site.probe(timeout_s=2) as told:
            told.until(lambda: _down(told))
            assert told.value("probe_requests_total", role="classify", outcome="timeout") == 1
            assert told.value("role_missing", role="chat") is None
            assert told.value("role_answer_seconds", role="chat") is None
    finally:
        site.machine.signal(signal.SIGCONT, runners=False)
    with site.probe() as told:
        told.until(lambda: _up(told))


def test_an_ollama_that_is_gone_is_down_until_it_is_back(site: Site) -> None:
    with site.probe() as told:
        told.until(lambda: _up(told))
        site.machine.stop()
        try:
            told.until(lambda: _down(told))
            assert (told.value("probe_requests_total", role="chat", outcome="failed") or 0) >= 1
            assert told.read().get("sealift_model_loaded", {}) == {}
        finally:
            site.machine.start()
        told.until(lambda: _up(told))


def test_a_key_that_does_not_hold_is_told(site: Site) -> None:
    with site.probe() as told:
        told.until(lambda: told.value("role_up", role="chat") == 1)
        (site.folder / "key").write_text("another")
        told.until(lambda: _down(told))
        assert "chat: failed: status 401" in told.log.read_text()
        (site.folder / "key").write_text(KEY)
        told.until(lambda: _up(told))


def test_a_limit_that_is_used_up_is_no_fault(machine: Machine, envoy_program: Path, tmp_path: Path) -> None:
    few = keys_of(CLIENT, requests_per_minute=6)  # a round has as many
    with _site(tmp_path, machine, envoy_program, few) as site, site.probe() as told:
        told.until(lambda: told.value("probe_requests_total", role="classify", outcome="refused"))
        assert told.value("role_up", role="classify") == 1
        assert told.value("role_degraded", role="classify") == 0


def test_prometheus_finds_nothing_amiss_in_the_file(site: Site, tmp_path: Path) -> None:
    promtool = program("prometheus", "promtool", tmp_path)
    with site.probe() as told:
        told.until(lambda: _up(told))
        ran = subprocess.run(
            (promtool, "check", "metrics"), input=told.path.read_bytes(), capture_output=True
        )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_nothing_secret_is_told(site: Site) -> None:
    with site.probe() as told:
        told.until(lambda: _up(told))
        said = told.path.read_text() + told.log.read_text()
    assert "sealift_role_up" in said
    for secret in (KEY, "Count from", "Bearer"):
        assert secret not in said
