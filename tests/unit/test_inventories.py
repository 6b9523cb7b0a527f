"""The inventories of the examples, and the page that explains every setting."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from sealift.host.settings import SettingsError, SiteSettings, parse
from sealift.site.reading import PYINFRA
from sealift.ssh import Ssh

ROOT = Path(__file__).parents[2]


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every setting with its default as docs/inventory.md writes it."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, f"{prefix}{name}.")
        elif field.default is PydanticUndefined:
            yield f"{prefix}{name}", "required"
        else:
            name = str(field.alias or name)
            yield f"{prefix}{name}", "none" if field.default == () else f"`{field.default}`"


@cache
def inventory(site: str) -> list[dict[str, Any]]:
    """The hosts of an inventory, as pyinfra itself reads it."""
    command = [*PYINFRA, f"inventories/{site}/{site}.py", "debug-inventory", "--json"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    hosts: list[dict[str, Any]] = json.loads(shown.stdout)
    return hosts


def test_every_setting_is_explained_with_its_default() -> None:
    page = (ROOT / "docs" / "inventory.md").read_text()
    rows = re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    assert dict(rows) == dict(settings_of(SiteSettings))
    assert len(rows) == len(dict(rows))


@pytest.mark.parametrize("site", ["staging", "prod"])
def test_example_inventories_are_valid(site: str) -> None:
    hosts = inventory(site)
    groups = {"llm", "gpu", "monitor", site} | ({"front"} if site == "prod" else set())
    assert {name for host in hosts for name in host["groups"]} == groups
    for host in hosts:
        parsed = parse(host["name"], host["data"])
        assert parsed.gateway.key.name == f"{host['name']}.key"
        assert parsed.ollama.num_parallel == (4 if "gpu" in host["groups"] else 2)
        assert host["data"]["ssh_strict_host_key_checking"] == "yes"


@pytest.mark.parametrize("site", ["staging", "prod"])
def test_what_is_the_site_s_own_lies_outside_of_the_deployment(site: str) -> None:
    """It would else be replaced with the next release, and revoked API keys would come back."""
    for host in inventory(site):
        settings = parse(host["name"], host["data"])
        gateway = settings.gateway
        for path in (settings.secrets, settings.identity, settings.depot, gateway.certificate, gateway.key):
            assert path.is_absolute() and not path.is_relative_to("/srv/sealift/deployment")
    page = (ROOT / "docs/secrets.md").read_text()
    assert set(re.findall(r"[\w/.]*secrets\.age", page)) == {"/etc/sealift/sites/prod/secrets.age"}


@pytest.mark.parametrize("site", ["staging", "prod"])
def test_every_host_of_the_example_inventories_has_an_address(site: str) -> None:
    config = (ROOT / "inventories" / site / "ssh_config").read_text()
    hosts = {host["name"] for host in inventory(site)}
    named = set(re.findall(r"^Host ([^* \n]+)$\n    HostName [0-9.]+$", config, re.M))
    assert named == {*hosts, f"jump.{site}.example"}
    for host in hosts:
        assert Ssh(host, Path(f"inventories/{site}/ssh_config")).address() != host


def _settings(site: str) -> list[dict[str, Any]]:
    """Of each host, without those of promotion."""
    found = [parse(host["name"], host["data"]) for host in inventory(site)]
    return [each.model_dump(mode="json", exclude={"promotion"}) for each in found]


def test_staging_and_production_differ_in_names_and_in_what_they_take_alone() -> None:
    staging = json.loads(json.dumps(_settings("staging")).replace("staging", "prod").replace("llm2", "llm3"))
    production = _settings("prod")
    assert staging == [production[0], production[2]]


def test_production_takes_what_passed_in_staging() -> None:
    staging, production = (
        parse(inventory(site)[0]["name"], inventory(site)[0]["data"]).promotion
        for site in ("staging", "prod")
    )
    assert staging.key and not staging.from_
    assert production.from_ == ("staging",) and production.signers and production.approvals


def test_all_mistakes_of_a_host_are_listed() -> None:
    data = inventory("staging")[0]["data"] | {
        "release": "../assistant",
        "ollama": {"num_paralel": 2, "cpus": -1},
        "colour": "red",
        "_sudo_user": "llm",
    }
    with pytest.raises(SettingsError) as error:
        parse("llm1", data)
    lines = str(error.value).splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [
        "_sudo_user",
        "release",
        "ollama.cpus",
        "ollama.num_paralel",
        "colour",
    ]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("olama", {}, "olama: is unknown, the nearest is ollama."),
        ("ollama", {"keep_alife": "1h"}, "ollama.keep_alife: is unknown, the nearest is keep_alive."),
        ("promotion", {"form": ["staging"]}, "promotion.form: is unknown, the nearest is from."),
        (
            "monitoring",
            {"receivers": {"email": {"to": ["a@b.example"], "sender": "a@b.example", "rely": "c:25"}}},
            "monitoring.receivers.email.rely: is unknown, the nearest is relay.",
        ),
        ("objectives", {"chat": {"anser": "1s"}}, "objectives.chat.anser: is unknown."),
        ("colour", "red", "colour: is unknown."),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest_that_is_known(key: str, value: Any, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse("llm1", inventory("staging")[0]["data"] | {key: value})
    assert f"llm1: {told}" in str(error.value)
