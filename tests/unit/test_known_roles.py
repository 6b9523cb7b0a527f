"""Roles that clients are given: those that the site's releases have."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sealift.cli import clients
from sealift.cli.main import application
from sealift.clients import known_roles
from sealift.clients.known_roles import roles_warning
from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.site.clients import clients_of
from sealift.site.init import make_site
from sealift.site.inventory import Inventory, load_inventory
from tests.unit.fleet_site import MODEL, lock
from tests.unit.test_site import site


@pytest.fixture
def bare(tmp_path: Path) -> Inventory:
    """A site whose depot has no release."""
    return load_inventory(str(make_site(site(tmp_path), tmp_path / "sites").folder))


@pytest.fixture
def acme(bare: Inventory, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    """The same with one."""
    release = StoredRelease("sha256:0", lock())
    monkeypatch.setattr(
        known_roles,
        "stored_releases",
        lambda hosts: {(each.settings.depot, each.settings.release): release for each in hosts},
    )
    monkeypatch.setattr(clients, "push_keys", lambda _: ())
    return bare


def ran(inventory: Inventory, command: str, client: str, *roles: str) -> Result:
    options = [option for role in roles for option in ("--role", role)]
    folder = str(inventory.path.parent)
    return CliRunner().invoke(application("clients"), ["clients", command, folder, client, *options])


@pytest.mark.parametrize("roles", [("chatt",), ("chat", "chatt"), ("acceptance",)])
def test_a_role_that_no_release_has_is_refused_and_no_key_made(
    acme: Inventory, roles: tuple[str, ...]
) -> None:
    for command, client in (("add", "shop"), ("set", "first")):
        refused = ran(acme, command, client, *roles)
        assert isinstance(refused.exception, SealiftError)
        assert str(refused.exception) == (
            f"{roles[-1]}: no host here serves this role. The roles here: chat; the models: {MODEL}."
        )
    assert "shop" not in clients_of(acme) and clients_of(acme)["first"].roles == ()


def test_roles_and_models_of_releases_are_given(acme: Inventory) -> None:
    assert (ran(acme, "add", "shop", "chat", MODEL).exit_code, clients_of(acme)["shop"].roles) == (
        0,
        ("chat", MODEL),
    )
    assert ran(acme, "set", "shop", "chat").exit_code == 0
    assert clients_of(acme)["shop"].roles == ("chat",)


def test_the_client_of_acceptance_may_have_its_role_which_no_release_has(acme: Inventory) -> None:
    assert ran(acme, "set", "acceptance", "acceptance").exit_code == 0


def test_without_a_release_in_the_depot_it_is_a_warning(
    bare: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "push_keys", lambda _: ())
    added = ran(bare, "add", "shop", "chatt")
    assert added.exit_code == 0 and clients_of(bare)["shop"].roles == ("chatt",)
    assert "warning: chatt: it is not known whether a host here serves this. " in added.stderr
    assert roles_warning(bare, "shop", ()) is None
