"""Clients of a site: keys that are added, changed, run out and revoked."""

from __future__ import annotations

import json
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyrage
import pytest
import yaml
from pydantic import SecretStr
from typer.testing import CliRunner

from sealift.cli.main import application
from sealift.clients.terms import terms_of
from sealift.errors import SealiftError
from sealift.site.check import check_site, site_problems
from sealift.site.clients import (
    add_client,
    client_warnings,
    clients_of,
    end_old_keys,
    revoke_clients,
    rotate_client,
    set_terms,
)
from sealift.site.init import make_site
from sealift.site.inventory import load_inventory
from sealift.site.secrets import ClientKeys, open_secrets, seal
from tests.unit.test_site import site

NOW = datetime.now(UTC)
TODAY = NOW.date()


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The folder of a site that was just made."""
    return make_site(site(tmp_path), tmp_path / "sites").folder


def test_clients_are_added_and_revoked(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    key = add_client(inventory, "chatbot", TODAY)
    assert list(clients_of(inventory)) == ["acceptance", "chatbot", "first", "probe"]
    opened = open_secrets(acme / "secrets.age", acme / "identity").in_force(TODAY)
    assert [each.get_secret_value() for each in opened["chatbot"]] == [key]
    with pytest.raises(SealiftError, match="has a key already"):
        add_client(inventory, "chatbot", TODAY)
    with pytest.raises(SealiftError, match="is no client's name"):
        add_client(inventory, "Chat Bot", TODAY)
    revoke_clients(inventory, ["first", "acceptance", "probe"])
    assert list(clients_of(inventory)) == ["chatbot"]
    with pytest.raises(SealiftError, match="nobody would have a key"):
        revoke_clients(inventory, ["chatbot"])
    with pytest.raises(SealiftError, match=r"first: has no key here\. Clients: chatbot"):
        revoke_clients(inventory, ["first"])
    assert stat.S_IMODE((acme / "secrets.age").stat().st_mode) == 0o600


def test_a_client_changes_its_key_without_a_gap(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    old = add_client(inventory, "shop", TODAY, date(2027, 1, 31))
    with pytest.raises(SealiftError, match="shop: has one key, expected an older one"):
        end_old_keys(inventory, "shop")
    new = rotate_client(inventory, "shop", TODAY)
    with pytest.raises(SealiftError, match="shop: has 2 keys already"):
        rotate_client(inventory, "shop", TODAY)
    shop = clients_of(inventory)["shop"]
    assert [key.get_secret_value() for key in shop.keys] == [old, new]
    assert shop.expires == date(2027, 1, 31)
    end_old_keys(inventory, "shop")
    shop = clients_of(inventory)["shop"]
    assert [key.get_secret_value() for key in shop.keys] == [new]
    assert shop.expires == date(2027, 1, 31)
    with pytest.raises(SealiftError, match="2026-01-01: is past"):
        rotate_client(inventory, "shop", TODAY, date(2026, 1, 1))


def test_a_client_may_ask_for_the_roles_that_are_named(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    first = open_secrets(acme / "secrets.age", acme / "identity").first_key(TODAY)
    add_client(inventory, "chatbot", TODAY, terms={"roles": ("gemma3:270m", "chat", "chat")})
    opened = open_secrets(acme / "secrets.age", acme / "identity")
    assert opened.allowed == {"acceptance": ("acceptance",), "chatbot": ("chat", "gemma3:270m")}
    assert opened.first_key(TODAY) == first  # of a client that may ask for all
    assert opened.roles_of("chatbot", ["embed", "chat"]) == ["chat"]
    assert opened.roles_of("first", ["embed", "chat"]) == ["chat", "embed"]
    rotate_client(inventory, "chatbot", TODAY)
    end_old_keys(inventory, "chatbot")
    assert clients_of(inventory)["chatbot"].roles == ("chat", "gemma3:270m")
    set_terms(inventory, "chatbot", {"roles": ["embed"]})
    assert clients_of(inventory)["chatbot"].roles == ("embed",)
    set_terms(inventory, "chatbot", {}, ["roles"])
    assert clients_of(inventory)["chatbot"].roles == ()
    with pytest.raises(SealiftError, match="Chat: is no name of a role"):
        set_terms(inventory, "chatbot", {"roles": ["Chat"]})
    with pytest.raises(SealiftError, match="shop: has no key here"):
        set_terms(inventory, "shop", {"roles": ["chat"]})
    with pytest.raises(SealiftError, match="is no name of a role"):
        add_client(inventory, "shop", TODAY, terms={"roles": ['"] = true, x = {["']})


def test_keys_that_ran_out_are_left_out_and_told(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    add_client(inventory, "shop", TODAY, TODAY)
    opened = open_secrets(acme / "secrets.age", acme / "identity")
    tomorrow = TODAY + timedelta(days=1)
    assert "shop" in opened.in_force(TODAY) and "shop" not in opened.in_force(tomorrow)
    told = [line for line in check_site(str(acme), NOW).warnings if "shop" in line]
    assert len(told) == 1 and f"the keys of shop run out on {TODAY}" in told[0]
    (told_later,) = client_warnings("acme", acme / "secrets.age", opened.api_keys, tomorrow)
    assert f"the keys of shop ran out on {TODAY}" in told_later
    for line in (told[0], told_later):
        assert line.endswith(f"sealift clients rotate {inventory.name} shop --expires DATE.")


def test_the_command_that_is_named_is_of_this_site(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    rotate = f"sealift clients rotate {inventory.name} shop"
    add_client(inventory, "shop", TODAY)
    with pytest.raises(SealiftError, match=f"{rotate}$"):
        add_client(inventory, "shop", TODAY)
    with pytest.raises(SealiftError, match=f"{rotate}$"):
        end_old_keys(inventory, "shop")
    rotate_client(inventory, "shop", TODAY)
    with pytest.raises(SealiftError, match=f"{rotate} --end$"):
        rotate_client(inventory, "shop", TODAY)


def test_where_all_keys_ran_out_preflight_says_so(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    add_client(inventory, "shop", TODAY, TODAY)
    revoke_clients(inventory, ["first", "acceptance", "probe"])
    found = list(site_problems(inventory.hosts[0], None, NOW + timedelta(days=1)))
    assert any("no client has a key that holds on" in line for line in found)


def test_one_key_without_an_end_is_written_as_it_always_was() -> None:
    identity = pyrage.x25519.Identity.generate()
    two = ClientKeys(keys=(SecretStr("a" * 24), SecretStr("b" * 24)), expires=TODAY)
    sealed = seal({"old": ClientKeys(keys=(SecretStr("k" * 24),)), "new": two}, identity.to_public())
    assert yaml.safe_load(pyrage.decrypt(sealed, [identity])) == {
        "api_keys": {"old": "k" * 24, "new": {"keys": ["a" * 24, "b" * 24], "expires": TODAY}}
    }


def test_a_limit_changes_alone_and_can_be_taken_off(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    terms: dict[str, object] = {"streams": 4, "context": 1_000_000, "paths": ["openai", "openai"]}
    add_client(inventory, "shop", TODAY, terms={**terms, "roles": ["chat"]})
    set_terms(inventory, "shop", {"requests_per_minute": 600, "tokens_per_month": 10**12}, ["streams"])
    own = clients_of(inventory)["shop"]
    assert (own.streams, own.requests_per_minute, own.paths, own.roles) == (None, 600, ("openai",), ("chat",))
    every = terms_of(inventory, own)
    assert {term.name: (term.own, set(term.holds.values())) for term in every} == {
        "roles": (True, {("chat",)}),
        "requests_per_minute": (True, {600}),
        "context": (True, {4096, 8192}),  # no more than a host's
        "body_mib": (False, {16}),
        "streams": (False, {1, 4}),  # as many as Ollama answers at once there
        "queue": (False, {8}),
        "tokens_per_minute": (False, {None}),
        "tokens_per_day": (False, {None}),
        "tokens_per_month": (True, {10**12}),
        "paths": (True, {("openai",)}),
    }
    refused: dict[str, object] = {"streams": 0, "body_mib": 2000, "paths": ["soap"]}
    with pytest.raises(SealiftError) as caught:
        set_terms(inventory, "shop", refused)
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "body_mib",
        "streams",
        "paths.0",
    ]
    with pytest.raises(SealiftError, match="colour: is no limit, expected one of roles, requests_per_minute"):
        set_terms(inventory, "shop", {}, ["colour"])
    with pytest.raises(SealiftError, match="nothing was named"):
        set_terms(inventory, "shop", {})
    assert clients_of(inventory)["shop"] == own


def test_show_tells_what_holds_on_each_host_and_no_key(acme: Path) -> None:
    key = add_client(load_inventory(str(acme)), "shop", TODAY, terms={"body_mib": 2})

    def shown(*options: str) -> str:
        ran = CliRunner().invoke(application("clients"), ["clients", "show", str(acme), "shop", *options])
        assert ran.exit_code == 0 and key not in ran.stdout
        return ran.stdout

    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown().splitlines()]
    assert ["body_mib", "2", "the client"] in cells and ["roles", "every role", "the site"] in cells
    (of_hosts,) = [holds for what, holds, _ in filter(None, cells) if what == "streams"]
    assert of_hosts == "1 on h1, h2.example; 4 on g1"
    assert json.loads(shown("--json"))["body_mib"] == 2
