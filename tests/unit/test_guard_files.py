"""The live files that say what a request's body may ask."""

from __future__ import annotations

import pytest

from sealift.host.client_inputs import clients_values
from sealift.host.client_limits import ClientLimits
from sealift.host.generation import Generation, clients_files
from sealift.host.given import SiteFiles
from sealift.host.settings import OllamaSettings
from sealift.release.roles import names_answered
from sealift.services import FRONT
from tests.unit import samples
from tests.unit.fleet_site import MODEL, lock, wanted
from tests.unit.test_generation import KEYS, LAB, TEMPLATES, http_filter, rendered


def lua(generation: Generation, name: str) -> str:
    """The text of a filter that is a script."""
    text: str = http_filter(generation, name)["default_source_code"]["inline_string"]
    return text


def test_what_gateways_say_of_clients_are_files_of_the_generation() -> None:
    allowed = {"billing": ("summary", "chat")}
    limits = {
        "billing": ClientLimits(streams=3, requests_per_minute=7),
        "assistant": ClientLimits(context=99),
    }
    files = rendered(LAB, FRONT.name, allowed=allowed, limits=limits).files
    values = clients_values(LAB, SiteFiles(KEYS, b"", b"", allowed, limits))
    found = clients_files(values, TEMPLATES)
    assert len(found) == 8 and found.items() <= files.items()


def test_the_guard_knows_names_and_context_of_the_host() -> None:
    applied = LAB.model_copy(update={"ollama": OllamaSettings(context_length=8192)})
    assert lua(rendered(applied), "guard").startswith(
        f"""GUARD = {{
  header = "x-sealift-client",
  lists = "all_clients",
  load_options = "ignore",
  context = 8192,
  names = {{
    ["chat"] = true,
    ["{MODEL}"] = true,
  }},
  blind = {{ ["chat"] = true, ["{MODEL}"] = true, }},
  fill = {{
  }},
}}
"""
    )


def test_the_guard_knows_what_openai_clients_are_to_get_of_a_role() -> None:
    parameters = {"temperature": 0, "top_p": 0.25, "seed": 1}
    roles = {"chat": {"model": MODEL}, "sum": {"model": MODEL, "parameters": parameters}}
    target = wanted(of=lock(samples.release(roles=roles)))
    assert '  fill = {\n    ["sum"] = { temperature = "0", top_p = "0.25", },\n  },\n' in lua(
        target.generation, "guard"
    )


def test_the_guard_knows_latest_by_its_short_name() -> None:
    wanted = lock(samples.release(models={"tiny:latest": {"archive": "model.tar"}}, roles={}))
    found = wanted.model_copy(update={"models": {"tiny:latest": wanted.models[MODEL]}})
    assert names_answered(found, frozenset(), {}) == ("tiny",)


def test_a_client_without_roles_may_ask_for_all() -> None:
    allowed = {"billing": ("summary:latest", "chat")}
    assert '["billing"] = { may = { ["chat"] = true, ["summary"] = true, }, },' in lua(
        rendered(allowed=allowed), "allowed"
    )
    assert "assistant" not in lua(rendered(allowed=allowed), "allowed")


@pytest.mark.parametrize(("limit", "seconds"), [(1, "60"), (7, "9"), (60, "1"), (600, "1")])
def test_a_client_beyond_its_limit_is_told_when_its_next_request_is_due(limit: int, seconds: str) -> None:
    gateway = LAB.gateway.model_copy(update={"requests_per_minute": limit})
    every = lua(rendered(LAB.model_copy(update={"gateway": gateway})), "allowed")
    assert f'noted:set("sealift.guard", "next", of.next or {seconds})' in every
    own = rendered(limits={"billing": ClientLimits(requests_per_minute=limit)})
    assert f'["billing"] = {{ next = {seconds}, }},' in lua(own, "allowed")
