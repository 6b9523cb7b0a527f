"""Rendering of a generation: every template, with the settings of a production site and of a lab."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import UndefinedError
from pydantic import SecretStr

from sealift.host.behind import Behind
from sealift.host.client_inputs import UNSENT_HEADER
from sealift.host.client_limits import ClientLimits
from sealift.host.fleet import Fleet
from sealift.host.generation import SPEC_LABEL, Generation, _Renderer, render_generation
from sealift.host.given import SiteFiles
from sealift.host.judged import judged
from sealift.host.routes import routes_of
from sealift.host.settings import OllamaSettings, SiteSettings, in_force
from sealift.host_paths import CURRENT, LIVE
from sealift.release.role import Role
from sealift.services import GATEWAY
from tests.unit.fleet_site import MODEL, lock, site_settings

TEMPLATES = Path(__file__).parents[2] / "templates"
BUNDLE = f"sha256:{'c' * 64}"
KEYS = {
    "billing": (SecretStr("key-of-billing-7Qw"), SecretStr("second-key-of-billing")),
    "assistant": (SecretStr('quoted " and \\ #: key'),),
}
ANSWERS = {"chat": MODEL}
STATS = GATEWAY.live.versions if GATEWAY.live else {}
LAB = site_settings(ollama={"memory_limit_mib": 2048})
PRODUCTION = LAB.model_copy(
    update={
        "ollama": OllamaSettings(
            num_parallel=4,
            max_loaded_models=3,
            flash_attention=True,
            kv_cache_type="q8_0",
            origins=("https://apps.example.org", "https://$x.example.org"),
            memory_limit_mib=49152,
            cpus=7.5,
        ),
        "gateway": LAB.gateway.model_copy(update={"port": 443, "requests_per_minute": 600}),
    }
)


def rendered(
    settings: SiteSettings = LAB,
    *groups: str,
    bundle: str = BUNDLE,
    keys: Mapping[str, tuple[SecretStr, ...]] = KEYS,
    certificate: bytes = b"cert\n",
    allowed: Mapping[str, tuple[str, ...]] | None = None,
    limits: Mapping[str, ClientLimits] | None = None,
    fleet: tuple[Behind, ...] = (),
) -> Generation:
    files = SiteFiles(keys, certificate, b"key\n", allowed or {}, limits or {}, b"ca\n")
    of, seen = frozenset(groups), Fleet(fleet)
    return render_generation(settings, lock(), bundle, of, ANSWERS, files, TEMPLATES, seen)


def parsed(generation: Generation, path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(generation.files[path].content)
    return content


def service(generation: Generation, name: str) -> dict[str, Any]:
    found: dict[str, Any] = parsed(generation, f"{name}/compose.yaml")["services"][name]
    return found


def connection_manager(generation: Generation) -> dict[str, Any]:
    (listener,) = parsed(generation, "gateway/live/listener.yaml")["resources"]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def http_filter(generation: Generation, name: str) -> dict[str, Any]:
    """A filter that has a live file of its own."""
    (found,) = parsed(generation, f"gateway/live/{name}.yaml")["resources"]
    config: dict[str, Any] = found["typed_config"]
    return config


def test_a_name_that_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        _Renderer(TEMPLATES)("ollama/compose.yaml.j2", {})


def test_equal_input_gives_an_equal_generation() -> None:
    assert rendered() == rendered()


def test_release_is_named() -> None:
    assert parsed(rendered(), "release.json") == {
        "release": "demo:2026.11.0",
        "bundle": BUNDLE,
        "roles": ANSWERS,
    }


def test_another_bundle_of_equal_configuration_restarts_nothing() -> None:
    one, other = rendered(), rendered(bundle=f"sha256:{'d' * 64}")
    assert one.id != other.id
    assert one.specs == other.specs


def test_a_key_a_certificate_or_a_limit_restarts_nothing_and_has_another_version() -> None:
    waiting = LAB.gateway.model_copy(update={"queue": 7})
    refusing = LAB.gateway.model_copy(update={"load_options": "refuse"})
    changes = {
        "keys": rendered(keys={**KEYS, "billing": (SecretStr("another"),)}),
        "tls": rendered(certificate=b"another\n"),
        "clusters": rendered(LAB.model_copy(update={"gateway": waiting})),
        "allowed": rendered(allowed={"billing": ("chat",)}),
        "guard": rendered(LAB.model_copy(update={"gateway": refusing})),
    }
    one = rendered()
    for name, other in changes.items():
        assert one.id != other.id and one.specs == other.specs
        before, after = one.versions(GATEWAY), other.versions(GATEWAY)
        assert [stat for stat in before if before[stat] != after[stat]] == [STATS[f"{name}.yaml"]]


def test_another_port_or_memory_limit_makes_the_gateway_anew() -> None:
    gateway = LAB.gateway.model_copy(update={"memory_limit_mib": 2048})
    one, other = rendered(), rendered(LAB.model_copy(update={"gateway": gateway}))
    assert one.specs["gateway"] != other.specs["gateway"]
    assert one.versions(GATEWAY) == other.versions(GATEWAY)


def test_what_the_image_judges_is_what_it_will_read() -> None:
    whole = json.loads(judged(rendered(), GATEWAY))
    (listener,) = whole["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    assert chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"] == [
        {"certificate_chain": {"inline_string": "cert\n"}, "private_key": {"inline_string": "key\n"}}
    ]
    filters = {each["name"]: each for each in chain["filters"][0]["typed_config"]["http_filters"]}
    assert filters["keys"]["typed_config"] == http_filter(rendered(), "keys")
    for name in ("limits", "budget", "allowed", "guard"):
        assert filters[name]["typed_config"] == http_filter(rendered(), name)
    order = list(filters)
    assert order[-3:] == ["guard", "envoy.filters.http.rbac", "envoy.filters.http.router"]
    assert order.index("keys") < order.index("allowed") < order.index("limits")
    assert order.index("limits") < order.index("envoy.filters.http.buffer") < order.index("guard")
    assert "path_config_source" not in json.dumps(whole)
    clusters = whole["static_resources"]["clusters"]
    assert [each["name"] for each in clusters] == ["all_clients", *sorted(KEYS)]
    assert not any("@type" in each for each in (listener, *clusters))


def test_another_setting_of_ollama_restarts_ollama_only() -> None:
    one, other = rendered(), rendered(LAB.model_copy(update={"ollama": OllamaSettings(num_parallel=2)}))
    assert one.specs["ollama"] != other.specs["ollama"]
    assert one.specs["gateway"] == other.specs["gateway"]


@pytest.mark.parametrize("name", ["ollama", "gateway"])
def test_containers_carry_their_spec(name: str) -> None:
    generation = rendered()
    assert service(generation, name)["labels"] == {SPEC_LABEL: generation.specs[name]}


def test_secrets_are_in_the_files_that_only_root_reads() -> None:
    generation = rendered()
    readable = {path for path, file in generation.files.items() if file.mode != 0o600}
    assert {path for path in readable if not path.startswith(("budgets/", "models/"))} == {
        "release.json",
        "blobs",
        "record",
        "restore.sh",
        "ollama/compose.yaml",
        "ollama/health.sh",
        "gateway/compose.yaml",
        "gateway/envoy.yaml",
    }
    assert not any(b"key-of-billing" in generation.files[path].content for path in readable)
    assert "key-of-billing" not in repr(generation)


def test_a_gpu_is_asked_for_in_its_group_only() -> None:
    assert "deploy" not in service(rendered(), "ollama")
    devices = service(rendered(LAB, "gpu"), "ollama")["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "cdi", "device_ids": ["nvidia.com/gpu=all"], "capabilities": ["gpu"]}]


def test_ollama_has_its_settings() -> None:
    ollama = service(rendered(PRODUCTION), "ollama")
    assert ollama["mem_limit"] == "49152m"
    assert ollama["cpus"] == 7.5
    assert ollama["environment"]["OLLAMA_NUM_PARALLEL"] == "4"
    assert ollama["environment"]["OLLAMA_NO_CLOUD"] == "1"
    assert ollama["environment"]["OLLAMA_ORIGINS"] == "https://apps.example.org,https://$$x.example.org"


@pytest.mark.parametrize("name", ["ollama", "gateway"])
def test_no_container_gets_a_proxy_from_roots_docker_client(name: str) -> None:
    proxies = ("HTTP_PROXY", "https_proxy", "ALL_PROXY", "ftp_proxy")
    assert {service(rendered(LAB), name)["environment"][proxy] for proxy in proxies} == {""}


def test_an_unlimited_setting_is_left_out() -> None:
    ollama = service(rendered(LAB), "ollama")
    assert "cpus" not in ollama and "OLLAMA_ORIGINS" not in ollama["environment"]


def test_only_the_gateway_is_published() -> None:
    generation = rendered(PRODUCTION)
    assert service(generation, "gateway")["ports"] == ["0.0.0.0:443:8443"]
    assert "ports" not in service(generation, "ollama")
    assert parsed(generation, "ollama/compose.yaml")["networks"] == {
        "sealift-inner": {"name": "sealift-inner", "external": True}
    }


@pytest.mark.parametrize("name", ["ollama", "gateway", "budgets"])
def test_containers_have_no_power(name: str) -> None:
    container = service(rendered(), name)
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["pull_policy"] == "never"
    assert all(volume["read_only"] for volume in container["volumes"] if "budgets" not in volume["target"])


def test_the_gateway_sees_its_bootstrap_and_the_folder_of_its_live_files() -> None:
    generation = rendered()
    sources = [volume["source"] for volume in service(generation, "gateway")["volumes"]]
    assert (sources[0], sources[-1]) == (f"{CURRENT}/gateway/envoy.yaml", f"{LIVE}/gateway")
    assert generation.live(GATEWAY).keys() == STATS.keys()
    assert generation.mounted(GATEWAY).keys() == {
        "/etc/envoy/envoy.yaml",
        *(f"/etc/envoy/live/{name}" for name in STATS),
    }


def test_the_gateway_has_every_key_and_a_limit_for_each_client() -> None:
    generation = rendered(PRODUCTION)
    assert http_filter(generation, "keys")["credentials"] == [
        {"client": client, "key": key.get_secret_value()} for client in sorted(KEYS) for key in KEYS[client]
    ]
    (descriptor,) = http_filter(generation, "limits")["descriptors"]
    assert descriptor["entries"] == [{"key": "client"}]  # without a value: a bucket for each
    assert descriptor["token_bucket"]["max_tokens"] == 600


def test_the_gateway_lets_through_what_the_releases_ollama_answers() -> None:
    routes = connection_manager(rendered())["route_config"]["virtual_hosts"][0]["routes"]
    allowed = {
        (match["headers"][0]["string_match"]["exact"], match.get("path") or match["safe_regex"]["regex"])
        for match in (route["match"] for route in routes)
    }
    expected = routes_of(lock().images["ollama"].name)
    assert allowed == {(route.method, route.regex or route.path) for route in expected}


def test_the_gateway_answers_itself_in_the_form_of_the_api_that_was_asked() -> None:
    mappers = connection_manager(rendered(PRODUCTION))["local_reply_config"]["mappers"]
    found = {}
    guard, *mappers = mappers
    assert guard["body_format_override"]["text_format_source"] == {"inline_string": "%LOCAL_REPLY_BODY%"}
    for mapper in mappers:
        of_path, of_status, *why = mapper["filter"]["and_filter"]["filters"]
        paths = of_path["header_filter"]["header"]["string_match"]["safe_regex"]["regex"]
        comparison = of_status["status_code_filter"]["comparison"]
        form = mapper["body_format_override"]["json_format"]
        reasons = tuple(why[0].get("response_flag_filter", {"flags": why[0]})["flags"]) if why else ()
        found[paths, comparison["op"], comparison["value"]["default_value"], reasons] = (mapper, form)
    assert list(dict.fromkeys(paths for paths, *_ in found)) == ["/v1/messages.*", "/v1/.*", ".*"]
    assert found["/v1/messages.*", "EQ", 429, ()][1]["error"]["type"] == "rate_limit_error"
    assert found["/v1/.*", "EQ", 401, ()][1]["error"]["code"] == "invalid_api_key"
    assert isinstance(found[".*", "EQ", 404, ()][1]["error"], str)
    assert found[".*", "EQ", 503, ()][0]["headers_to_add"] == [
        {"header": {"key": "retry-after", "value": "5"}}
    ]
    assert found["/v1/.*", "EQ", 503, ("UO",)][1]["error"]["code"] == "queue_full"
    marked = [reasons for (*_, reasons), (mapper, _) in found.items() if UNSENT_HEADER in str(mapper)]
    assert set(marked) == {("UO",), ("UF", "UH")}
    assert mappers[-1] is found[".*", "GE", 400, ()][0]


def test_the_gateway_logs_no_key() -> None:
    logged = str(connection_manager(rendered())["access_log"]).lower()
    assert "authorization" not in logged
    assert "x-api-key" not in logged
    assert "%path(nq)%" in logged  # without the query


def test_a_role_that_asks_for_more_than_the_site_sets_gets_it() -> None:
    wants = Role(model="gemma3:270m", context=8192, parallel=3)
    applied = in_force(OllamaSettings(context_length=4096, num_parallel=8), [wants])
    assert (applied.context_length, applied.num_parallel) == (8192, 8)
