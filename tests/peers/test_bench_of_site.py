"""What `sealift bench` measures: a real Ollama on real weights behind the real Envoy of a host."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from sealift.depot.store import StoredRelease
from sealift.fleet.survey import Target
from sealift.measure.bandwidth import Bandwidth
from sealift.measure.results import Bound, Cold, Load, Step
from sealift.measure.run import Found, Run, Subject, Wanted
from sealift.release.parameters import Parameters
from sealift.release.role import Role
from sealift.site.inventory import Host
from sealift.site.secrets import Secrets
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import gateway, ollama
from tests.peers.gateway import ROLE, keys_of, lock_of
from tests.unit.fleet_site import BUNDLE, MODEL, site_settings

pytestmark = pytest.mark.exhaustive

TOKENS = 8  # of an answer
QUICK, SLOW = "quick", "bound"
SECRETS = Secrets.model_construct(
    api_keys={QUICK: keys_of(QUICK, streams=4), SLOW: keys_of(SLOW, requests_per_minute=2)}
)
OTHER = "other"  # a role of the same model
NAMES = ("gemma3:270m", f"{ROLE}:latest", f"{OTHER}:latest")
# The last argument of ssh is what the host's shell gets; what runs in a container runs here.
STAND_INS = {
    "ssh": """\
[ "$1" != -G ] || exec {ssh} "$@"
for last; do :; done
exec sh -c "$last"
""",
    "docker": """\
[ "$1" != ps ] || exec echo 0123456789ab
shift 2
OLLAMA_HOST={host} exec "$@"
""",
}
DEMO = CHECKOUT / "demo/gemma3-270m.Modelfile"


@pytest.fixture(scope="module")
def target(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A host whose role answers by Gemma."""
    folder, sources = tmp_path_factory.mktemp("bench"), CHECKOUT / "build/ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", sources)
    (folder / "models").mkdir()
    with tarfile.open(sources / "gemma3-270m.tar") as store:
        store.extractall(folder / "models", filter="data")
    # threads of one model wait for each other, which takes ages where others keep the processors busy
    (folder / "Modelfile").write_text(f"FROM gemma3:270m\n{DEMO.read_text()}PARAMETER num_thread 1\n")
    program = ollama.program(sources / "ollama-0.11.4.tar", folder)
    with ExitStack() as stack:
        running = stack.enter_context(ollama.serving(program, folder))
        for role in (ROLE, OTHER):
            made = running.create(role, folder / "Modelfile")
            assert made.returncode == 0, made.stderr
        _stand_in(folder / "bin", program, running)
        upstream = urlsplit(running.url).port
        lock = lock_of(gateway.NEWEST)
        found = stack.enter_context(
            gateway.serving(envoy_program, folder, lock, secrets=SECRETS, instead=upstream)
        )
        (folder / "ssh_config").write_text("Host localhost\n  HostName 127.0.0.1\n")
        settings = site_settings(
            gateway={"certificate": "x", "key": "x", "ca": str(found.certificate), "port": found.port},
            ssh_config_file=str(folder / "ssh_config"),
        )
        short = Role(model=MODEL, parameters=Parameters(num_predict=TOKENS))
        release = lock.release.model_copy(update={"roles": {ROLE: short}})
        stored = StoredRelease(BUNDLE, lock.model_copy(update={"release": release}))
        yield Target(Host("localhost", frozenset(), settings), stored)


def _stand_in(folder: Path, program: Path, running: ollama.Ollama) -> None:
    folder.mkdir()
    (folder / "ollama").symlink_to(program)
    for name, script in STAND_INS.items():
        words = {"ssh": shutil.which("ssh"), "host": running.environment["OLLAMA_HOST"]}
        (folder / name).write_text(f"#!/bin/sh\n{script.format(**words)}")
        (folder / name).chmod(0o755)


def _run(target: Target, client: str, wanted: Wanted, bandwidth: Bandwidth | None = None) -> list[Found]:
    subject = Subject(target, ROLE, MODEL, SecretStr(f"{client}-key"), NAMES)
    return list(Run(wanted, lambda _: None).measure(subject, bandwidth))


def test_real_tokens_are_measured_at_each_number_of_streams(target: Target) -> None:
    wanted = Wanted(streams=(1, 2), rounds=1, cold=False, rate=2, seconds=2)
    *steps, bound, load = _run(target, QUICK, wanted, Bandwidth(10e9, "a test"))
    assert all(isinstance(step, Step) for step in steps)
    assert [(step.prompt, step.streams, step.asked) for step in steps if isinstance(step, Step)] == [
        ("short", 1, 1),
        ("short", 2, 2),
        ("long", 1, 1),
    ]
    for step in steps:
        assert isinstance(step, Step) and step.refused == {}
        assert step.tokens and step.tokens.least == step.tokens.most == TOKENS
        assert step.first_s and step.answer_s and step.rate and step.prompt_tokens
        assert 0 < step.first_s.least < step.answer_s.least
        assert step.produced == TOKENS * step.asked
        assert step.prompt_tokens.least > (400 if step.prompt == "long" else 20)
    assert isinstance(bound, Bound) and bound.reached > 0
    assert isinstance(load, Load) and load.asked == load.answered > 0
    assert load.moments[-1].answer_s and load.ended_s > load.moments[-1].due_s


def test_a_model_is_loaded_anew_whichever_of_its_roles_had_it_loaded(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = target.host.settings.ssh_config_file.parent
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    subprocess.run(["docker", "exec", "0123", "ollama", "run", OTHER, "Hi"], check=True, capture_output=True)
    began = len(_loads(folder))
    cold = _run(target, QUICK, Wanted(streams=(1,), rounds=1, cold=True, rate=0, seconds=1))[-1]
    assert isinstance(cold, Cold) and cold.load_s.count == cold.first_s.count == 3
    assert 0 < cold.load_s.least < cold.first_s.most
    assert len(_loads(folder)) - began == 3


def _loads(folder: Path) -> list[str]:
    """What Ollama's log says of each time that a model was loaded."""
    return [line for line in (folder / "log").read_text().splitlines() if "llama runner started in" in line]


def test_a_clients_limit_shows_as_what_it_is(target: Target) -> None:
    (short, _) = _run(target, SLOW, Wanted(streams=(1,), rounds=3, cold=False, rate=0, seconds=1))
    assert isinstance(short, Step)
    assert short.answered < short.asked
    ((said, _),) = short.refused.items()
    assert said.startswith("429: client: has asked too often")
