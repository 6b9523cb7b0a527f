"""The front door: what it knows of the hosts behind it, and what drained ones mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from sealift.errors import SealiftError
from sealift.fleet import behind as fleet_behind
from sealift.host.behind import Behind, behind
from sealift.host.judged import judged
from sealift.host.preflight import check
from sealift.live.drain import needed_for, parse_running, parse_sick
from sealift.release.locked import Lock
from sealift.rollout.prepared import aimed_at
from sealift.services import FRONT, GATEWAY, OLLAMA
from sealift.site.drained import drained_file, read_drained, write_drained
from sealift.site.inventory import Host, parse_inventory
from tests.unit import probed, samples
from tests.unit.fleet_site import DATA, MODEL, lock, site_settings
from tests.unit.test_generation import LAB, rendered

H1 = Behind("h1", "10.0.0.1", 8443, ("chat", "embed"), 4096, 300, False)
H2 = replace(H1, name="h2", names=("chat",))


def _lock(**roles: dict[str, Any]) -> Lock:
    models = {name: {"archive": "model.tar"} for name in (MODEL, "small:1m", "own:latest")}
    found = lock(samples.release(models=models, roles=roles))
    return found.model_copy(update={"models": dict.fromkeys(models, found.models[MODEL])})


def _behind(of: Lock, *groups: str) -> Behind | None:
    settings = site_settings(ollama={"context_length": 2048})
    return behind("h1", frozenset(groups), settings, of, address="10.0.0.1", drained=False)


def test_a_host_is_asked_for_its_roles_and_for_models_that_it_has_in_any_case() -> None:
    of = _lock(
        chat={"model": MODEL, "fallback": ["small:1m"], "context": 8192},
        embed={"model": MODEL, "groups": ["gpu"]},
    )
    plain, gpu = _behind(of), _behind(of, "gpu")
    assert plain and plain.names == ("chat", "own") and plain.context == 8192
    assert gpu and gpu.names == ("chat", "embed", "own", MODEL)


def test_a_host_that_answers_no_role_is_not_behind_a_front_door() -> None:
    document = samples.release().model_dump()
    images = {**document["images"], OLLAMA.name: {**document["images"][OLLAMA.name], "groups": ["llm"]}}
    of = lock(samples.release(images=images))
    assert _behind(of, "front") is None and _behind(of, "llm") is not None


def test_a_drained_host_stays_in_the_list_for_what_runs_there() -> None:
    generation = rendered(LAB, FRONT.name, fleet=(H1, replace(H2, drained=True)))
    before = rendered(LAB, FRONT.name, fleet=(H1, H2))
    assert aimed_at(generation) == aimed_at(before) and generation.id != before.id
    hosts = yaml.safe_load(generation.files["front/live/hosts.yaml"].content)
    endpoints = hosts["resources"][0]["endpoints"][0]["lb_endpoints"]
    assert [each["health_status"] for each in endpoints] == ["HEALTHY", "DRAINING"]
    assert [each["endpoint"]["hostname"] for each in endpoints] == ["h1", "h2"]
    assert b'["embed"] = true' in generation.files["front/live/guard.yaml"].content
    assert rendered(LAB, fleet=(H1,)).id == rendered(LAB).id  # nothing of it on a host without a front door


def test_what_the_image_judges_has_every_host_and_the_ca() -> None:
    said = judged(rendered(LAB, FRONT.name, fleet=(H1,)), FRONT)
    assert b'"10.0.0.1"' in said and b'"trusted_ca": {"inline_string": "ca\\n"}' in said
    assert b"eds_cluster_config" not in said and b"sds_config" not in said


@pytest.mark.parametrize(
    ("fleet", "host", "needed"),
    [
        ((H1, H2), "h1", ("embed",)),
        ((H1, H2), "h2", ()),
        ((replace(H1, drained=True), H2), "h2", ("chat",)),
        ((H1,), "h1", ("chat", "embed")),
    ],
)
def test_the_last_host_of_a_role_is_known(
    fleet: tuple[Behind, ...], host: str, needed: tuple[str, ...]
) -> None:
    assert needed_for(fleet, host) == needed


def test_drained_hosts_stand_in_one_file(tmp_path: Path) -> None:
    settings = site_settings(secrets=str(tmp_path / "secrets.age"))
    assert read_drained(settings) == set()
    write_drained(settings, {"h2", "h1"})
    assert drained_file(settings).read_text() == "h1\nh2\n"
    assert read_drained(settings) == {"h1", "h2"}
    drained_file(settings).write_text("h1 h2\n")
    with pytest.raises(SealiftError, match=r"drained: is no list of hosts, expected a name a line\."):
        read_drained(settings)


def test_a_name_instead_of_an_address_is_looked_up_on_the_control_node(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    host = Host("h1", frozenset(), site_settings(ssh_config_file=str(config)))
    config.write_text("Host h1\n  HostName localhost\n")
    assert fleet_behind.address_of(host) in ("127.0.0.1", "::1")
    config.write_text("Host h1\n  HostName nowhere.invalid\n")
    with pytest.raises(SealiftError, match=r"^h1: its address nowhere\.invalid is not known here"):
        fleet_behind.address_of(host)


def test_requests_of_a_host_are_counted_out_of_what_envoy_says() -> None:
    said = (
        "hosts::[fd00::1]:8443::rq_active::3\nhosts::[fd00::1]:8443::rq_pending_active::1\n"
        "hosts::[fd00::1]:8443::hostname::h1\nhosts::10.0.0.2:8443::rq_active::7\n"
    )
    assert parse_running("door", said, ("h1",)) == {"h1": 4}
    for wrong in ("", said.replace("active::3", "active::-3"), said.replace("h1", "h3")):
        with pytest.raises(SealiftError, match=r"^door: its front door does not say what runs on h1"):
            parse_running("door", wrong, ("h1",))


def test_a_host_that_a_front_door_does_not_hold_healthy_is_sick() -> None:
    said = "".join(
        f"hosts::10.0.0.{n}:8443::hostname::h{n}\nhosts::10.0.0.{n}:8443::health_flags::{flags}\n"
        for n, flags in (
            (1, "healthy"),
            (2, "/failed_active_hc/failed_outlier_check"),
            (3, "/pending_active_hc"),
        )
    )
    assert parse_sick(said) == {"h2", "h3"}
    assert parse_sick("hosts::10.0.0.4:8443::hostname::h4\nhosts::10.0.0.5:8443::health_flags::/x\n") == set()


def test_a_limited_inventory_still_knows_all_hosts_of_the_site() -> None:
    data = {"ssh_config_file": "c", **DATA}
    raw: list[dict[str, Any]] = [{"name": name, "groups": [], "data": data} for name in ("h1", "h2", "h3")]
    limited = parse_inventory(Path("site.py"), raw).limited(["h1", "h2"]).limited(["h2"])
    assert limited.names == ("h2",) and limited.whole.names == ("h1", "h2", "h3")


def test_one_port_for_gateway_and_front_door_is_refused() -> None:
    settings = site_settings(gateway={"certificate": "x", "key": "x", "ca": "x", "port": 443})
    found = check("h1", probed.HOST, settings, lock(), frozenset(FRONT.groups), None, 0, probed.NOW)
    assert [str(each) for each in found] == [
        f"h1: port 443 is that of {GATEWAY.name} and of {FRONT.name}, expected a port for each. "
        "Set another front.port."
    ]
