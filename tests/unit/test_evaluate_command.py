"""The command `sealift evaluate`: what it asks and keeps, what it compares with, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from sealift.cli import evaluate as command
from sealift.cli.main import application
from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.fleet.status import HostStanding, Standing
from sealift.fleet.survey import Target
from sealift.quality import evaluate
from sealift.site.inventory import Host, Inventory
from sealift.site.secrets import ClientKeys, Secrets
from tests.unit import samples
from tests.unit.fleet_site import lock, site_settings

OLD, NEW = ("sha256:" + digit * 64 for digit in "ab")
SECRETS = Secrets(api_keys={"first": ClientKeys(keys=(SecretStr("key-" + "x" * 24),))})
QUESTIONS = [{"ask": "France?", "must": ["Paris"]}, {"ask": "Italy?", "must": ["Rome"]}]


class Fleet:
    """Hosts that answer as they are told."""

    def __init__(self, depot: Path) -> None:
        self.names, self.bundle, self.stands = ("h1", "h2"), NEW, NEW
        self.says = {"France?": "Paris.", "Italy?": "It is Rome."}
        self.questions: list[dict[str, Any]] = QUESTIONS
        self.depot, self.status = depot, 200

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(Host(name, frozenset(), site_settings(depot=str(self.depot))) for name in self.names)

    @property
    def targets(self) -> tuple[Target, ...]:
        role = {"model": samples.MODEL, "questions": self.questions}
        stored = StoredRelease(self.bundle, lock(samples.release(roles={"chat": role})))
        return tuple(Target(host, stored) for host in self.hosts)

    def send(self, host: Host, key: SecretStr, method: str, path: str, body: Mapping[str, Any]) -> Any:
        assert host.name in self.names
        assert (key, method, path) == (SECRETS.api_keys["first"].keys[0], "POST", "/api/chat")
        answer = requests.Response()
        answer.status_code = self.status
        said = self.says[body["messages"][0]["content"]]
        answer._content = json.dumps({"message": {"content": said}}).encode()
        return answer

    def standing(self, found: tuple[Target, ...]) -> tuple[HostStanding, ...]:
        stands = Standing("0", "demo:1", self.stands, (), (), None, {})
        return tuple(HostStanding(target.host.name, stands, None) for target in found)


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    fleet = Fleet(tmp_path / "depot")
    monkeypatch.setattr(command, "load_inventory", lambda _: Inventory("prod", Path("prod.py"), fleet.hosts))
    monkeypatch.setattr(command, "targets", lambda _: fleet.targets)
    monkeypatch.setattr(command, "start_where_hosts_are", lambda _: None)
    monkeypatch.setattr(command, "fleet_standing", fleet.standing)
    monkeypatch.setattr(evaluate, "open_secrets", lambda *_: SECRETS)
    monkeypatch.setattr(evaluate, "send", fleet.send)
    return fleet


def ran(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(application("evaluate"), ["evaluate", "prod", *arguments])


def test_good_answers_are_kept_beside_the_evidence(fleet: Fleet, tmp_path: Path) -> None:
    found = ran()
    assert found.exit_code == 0, found.output
    assert found.stdout.count("2 of 2") == 2 and "not asked" in found.stdout
    assert "2 golden questions, 0 answered badly, 0 of them good before" in found.stdout
    kept = json.loads((tmp_path / f"evidence/quality/prod/{'b' * 64}.json").read_text())
    assert len(kept["answers"]) == 4 and kept["bundle"] == NEW


def test_an_answer_that_got_worse_is_told(fleet: Fleet) -> None:
    fleet.bundle = fleet.stands = OLD
    assert ran().exit_code == 0
    fleet.bundle, fleet.stands = NEW, NEW
    fleet.says["Italy?"] = "\x1b[2JItaly is Italy."
    found = ran("--role", "chat")
    assert found.exit_code == 1
    assert "h1: chat: 'Italy?': '?[2JItaly is Italy.' has not 'Rome', and was good before" in found.stdout
    assert "2 golden questions, 1 answered badly, 1 of them good before" in found.stdout
    said = json.loads(ran("--json").stdout)
    assert said["before"]["bundle"] == OLD
    assert [(each["question"], each["worse"]) for each in said["questions"]] == [
        ("France?", []),
        ("Italy?", ["h1", "h2"]),
    ]


def test_a_model_that_does_not_answer_is_told(fleet: Fleet) -> None:
    fleet.status = 500
    found = ran()
    assert found.exit_code == 1 and "answers 500" in found.stdout


def test_hosts_that_run_another_release_are_not_asked(fleet: Fleet) -> None:
    fleet.stands = OLD
    found = ran()
    assert isinstance(found.exception, SealiftError)
    assert "h1: runs demo:1 of another bundle than the inventory names" in str(found.exception)


@pytest.mark.parametrize("role", ["embed", None])
def test_a_release_without_questions_says_where_they_go(fleet: Fleet, role: str | None) -> None:
    fleet.questions = QUESTIONS if role else []
    found = ran(*(("--role", role) if role else ()))
    assert isinstance(found.exception, SealiftError)
    assert "expected questions or pairs in the release file" in str(found.exception)
