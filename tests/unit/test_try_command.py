"""The command `sealift try`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from sealift.cli import trial
from sealift.cli.main import application
from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.fleet.survey import Target
from sealift.fleet.trial import Asking, Trial
from sealift.host.client_limits import APIS
from sealift.site.inventory import Host, Inventory
from sealift.site.secrets import ClientKeys, Secrets
from tests.unit.fleet_site import lock, site_settings

KEYS = {client: SecretStr(f"key-of-{client}-{'x' * 24}") for client in ("alice", "bob")}
SECRETS = Secrets(
    api_keys={
        "alice": ClientKeys(keys=(KEYS["alice"],), roles=("embed",), paths=("openai",)),
        "bob": ClientKeys(keys=(KEYS["bob"],)),
    }
)
WELL = Trial("h1", None, "right key", 0.01, None)
SLOW = Trial("h1", "chat", "POST /api/chat", 1.26, None)
LOST = Trial("h1", "chat", "POST /api/chat", 0.2, "answers 503 'busy', expected 200. Run sealift status.")


@pytest.fixture(autouse=True)
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """What comes of the trial of a site with one host."""
    host = Host("h1", frozenset(), site_settings())
    site = Inventory("prod", Path("prod.py"), (host,))
    found: list[Trial] = []

    def try_host(host: Host, asking: Asking, tell: object) -> list[Trial]:
        assert asking in (
            Asking(KEYS["bob"], ("chat",), APIS, KEYS["bob"]),
            Asking(KEYS["alice"], (), ("openai",), KEYS["bob"]),
        )
        return found if asking.roles else [WELL]

    monkeypatch.setattr(trial, "load_inventory", lambda _: site)
    monkeypatch.setattr(trial, "targets", lambda _: (Target(host, StoredRelease("sha256:0", lock())),))
    monkeypatch.setattr(trial, "open_secrets", lambda *_: SECRETS)
    monkeypatch.setattr(trial, "try_host", try_host)
    return found


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(application("try"), ["try", "prod", *arguments])


def test_what_is_answered_stands_in_a_table_with_its_time(tried: list[Trial]) -> None:
    tried += [WELL, SLOW]
    found = ran()
    assert found.exit_code == 0
    row = next(line for line in found.stdout.splitlines() if "POST /api/chat" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["h1", "chat", "POST /api/chat", "good", "1.3"]


def test_what_is_not_answered_is_an_error_that_says_where(tried: list[Trial]) -> None:
    tried += [WELL, LOST]
    found = ran("--client", "bob")
    assert isinstance(found.exception, SealiftError)
    assert str(found.exception) == f"h1: chat by POST /api/chat: {LOST.problem}"
    assert "failed" in found.stdout.split()


def test_programs_get_all_of_it(tried: list[Trial]) -> None:
    tried += [WELL, LOST]
    assert json.loads(ran("--json").stdout) == [asdict(WELL), asdict(LOST)]


def test_a_client_is_tried_with_the_roles_that_it_may_ask_for(tried: list[Trial]) -> None:
    tried += [WELL, SLOW]
    found = ran("--client", "alice", "--json")
    assert json.loads(found.stdout) == [asdict(WELL)]
    assert isinstance(found.exception, SealiftError)
    assert str(found.exception).startswith("alice: no role was tried, expected one: ")
    assert ran("--client", "bob").exit_code == 0
