"""What watches a fleet, as it is rendered, and what a site must have for it."""

from __future__ import annotations

import base64
import io
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from sealift.depot.store import Depot, StoredRelease
from sealift.drift.service_checks import service_checks
from sealift.errors import SealiftError
from sealift.facts.files import Standing
from sealift.host.generation import Generation, render_generation
from sealift.host.judged import judged
from sealift.host.preflight import check
from sealift.host.receivers import Receivers
from sealift.host.wanted import TEMPLATES, Wanted
from sealift.host_paths import PROBED, PUBLISHED, PUBLISHED_BLOBS
from sealift.operations.generation import archive
from sealift.release.locked import LockedImage
from sealift.services import GATEWAY, NODE, PROMETHEUS, SERVICES
from sealift.site import rule_check
from sealift.site.clients import add_client, revoke_clients
from sealift.site.init import make_site
from sealift.site.inventory import load_inventory, parse_inventory
from sealift.site.rule_check import NoPromtoolError
from sealift.site.watching import watch_problems
from tests.unit import probed
from tests.unit.fleet_site import BUNDLE, DATA, site_settings, wanted
from tests.unit.test_site import site
from tests.unit.watched_site import WATCHING, Watched, watching_lock

SITE = Watched.made()
NOW = datetime.now(UTC)


def container(generation: Generation, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(generation.files[f"{name}/compose.yaml"].content)
    return found


def names(*groups: str, images: tuple[str, ...] = WATCHING) -> list[str]:
    release = watching_lock(images).release
    return [service.name for service in release.services_for(frozenset(groups))]


def test_every_host_is_watched_and_hosts_of_one_group_watch() -> None:
    assert names()[-2:] == ["node", "probe"]
    assert names("monitor")[-5:] == ["node", "probe", "alertlog", "alertmanager", "prometheus"]


def test_a_service_whose_others_are_missing_does_not_run() -> None:
    assert names("monitor", images=("probe",))[-1] == "probe"
    assert names("monitor", images=("probe", "prometheus"))[-2:] == ["probe", "prometheus"]
    assert "alertmanager" not in names("monitor", images=("alertmanager",))


def test_figures_of_a_gateway_are_published_only_where_somebody_may_read_them() -> None:
    assert [port.inside for port in watching_lock().release.ports_of(GATEWAY)] == [8443, 9464]
    assert [port.inside for port in watching_lock(("node",)).release.ports_of(GATEWAY)] == [8443]
    bare = SITE.generation(images=("node",))
    assert b"9464" not in bare.files["gateway/live/listener.yaml"].content
    assert b"own_figures" not in bare.files["gateway/envoy.yaml"].content


def test_prometheus_reads_every_host_by_its_name() -> None:
    parsed = yaml.safe_load(SITE.generation("monitor").files["prometheus/prometheus.yml"].content)
    jobs = {job["job_name"]: job for job in parsed["scrape_configs"]}
    assert list(jobs) == [
        *("prometheus", "alertmanager"),
        *("gateway/h1", "node/h1"),
        *("gateway/h2", "front/h2", "node/h2"),
    ]
    of_front = jobs["front/h2"]
    assert of_front["tls_config"]["server_name"] == "h2" and of_front["scheme"] == "https"
    assert of_front["static_configs"] == [
        {"targets": ["10.0.0.2:9465"], "labels": {"job": "front", "host": "h2"}}
    ]


def test_prometheus_is_published_nowhere_and_reaches_its_own_host() -> None:
    generation = SITE.generation("monitor")
    for name in ("prometheus", "alertmanager", "alertlog", "probe"):
        assert "ports" not in container(generation, name)["services"][name]
    for name in ("node", "prometheus"):
        networks = container(generation, name)["networks"]
        assert networks["outer"] == {"name": "sealift-gateway_outer", "external": True}
    assert "outer" not in container(generation, "alertlog")["networks"]


def test_without_a_gateway_the_node_exporter_has_the_network_that_prometheus_is_in() -> None:
    assert NODE.outer(["node", "prometheus"]) == PROMETHEUS.outer(["node", "prometheus"]) == "sealift-node"


def test_keys_are_read_by_those_who_need_them_alone() -> None:
    generation = SITE.generation("monitor")
    modes = {path: (file.mode, file.group) for path, file in generation.files.items()}
    assert modes["prometheus/monitor.key"] == (0o600, 0)
    assert (modes["probe/key"], modes["node/web.yaml"]) == ((0o640, 65530), (0o640, 65531))
    with tarfile.open(fileobj=io.BytesIO(archive(generation))) as tar:
        assert tar.getmember("node/web.yaml").gid == 65531 and tar.getmember("probe/key").gid == 65530
    secret = (SITE.monitor.key, SITE.host.key, b"key-of-the-probe")
    readable = [path for path, (mode, _) in modes.items() if mode & 0o004]
    assert not [path for path in readable if any(key in generation.files[path].content for key in secret)]


def test_whoever_sees_the_processes_of_its_host_has_a_number_that_nobody_else_has() -> None:
    generation = SITE.generation("monitor", "front")
    users = {
        service.name: container(generation, service.name)["services"][service.name].get("user", "0:0")
        for service in SERVICES
    }
    seeing = {
        service.name for service in SERVICES for mount in service.mounts if mount.source in ("/", "/proc")
    }
    assert {name: users.pop(name) for name in seeing} == {"probe": "65530:65530", "node": "65531:65531"}
    assert set(users.values()) == {"0:0"}


def left_behind(wanted: Wanted) -> dict[str, list[str]]:
    standing = Standing("l", "65530:65530", "777", "")
    return {
        str(check.arguments["path"]): list(check.judge(standing))
        for check in service_checks(wanted)
        if str(check.arguments.get("path")).endswith(".prom")
        if list(check.judge(None)) == []
    }


def test_figures_of_a_service_that_is_gone_are_too_much() -> None:
    bare = wanted()
    assert left_behind(bare) == {path: [f"{path} is of a service that is gone"] for path in bare.left_behind}
    assert bare.left_behind == (PROBED, PUBLISHED, PUBLISHED_BLOBS)
    assert replace(bare, lock=watching_lock()).left_behind == (PUBLISHED, PUBLISHED_BLOBS)
    assert replace(bare, lock=watching_lock(), groups=frozenset({"monitor"})).left_behind == ()


def test_the_image_of_prometheus_judges_all_that_it_will_read_but_the_key() -> None:
    given = base64.decodebytes(judged(SITE.generation("monitor"), PROMETHEUS))
    with tarfile.open(fileobj=io.BytesIO(given)) as tar:
        sizes = {member.name: member.size for member in tar}
    assert sizes["monitor.key"] == 0 and sizes["rules/alerts.yml"] > 0
    assert sizes.keys() >= {"prometheus.yml", "ca.crt", "monitor.crt"}


def test_one_port_for_figures_and_for_clients_is_refused() -> None:
    settings = site_settings(monitoring={"metrics_port": 8443})
    facts = replace(probed.HOST, listeners=())
    found = check("h1", facts, settings, watching_lock(), frozenset(), None, 0, probed.NOW)
    assert [str(each) for each in found if "8443" in str(each)] == [
        "h1: port 8443 is that of gateway and of gateway, expected a port for each. "
        "Set another monitoring.metrics_port."
    ]


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The folder of a site that was just made; its host h1 watches."""
    return make_site(site(tmp_path, monitors=("h1",)), tmp_path / "sites").folder


def problems(folder: Path) -> dict[str, list[str]]:
    release = watching_lock().release
    return {host.name: list(watch_problems(host, release, NOW)) for host in load_inventory(str(folder)).hosts}


def test_a_new_site_can_watch(acme: Path) -> None:
    assert problems(acme) == {"h1": [], "h2.example": [], "g1": []}
    assert "monitor" in load_inventory(str(acme)).hosts[0].groups


def test_an_older_site_is_told_of_the_client_that_it_lacks(acme: Path) -> None:
    inventory = load_inventory(str(acme))
    revoke_clients(inventory, ["probe"])
    assert all("Make it: sealift clients add SITE probe" in lines[0] for lines in problems(acme).values())
    add_client(inventory, "probe", NOW.date())
    assert problems(acme)["h1"] == []


def test_a_host_that_watches_without_a_certificate_for_it_is_told(acme: Path) -> None:
    (acme / "tls/monitor.crt").write_bytes((acme / "tls/h1.crt").read_bytes())
    found = problems(acme)
    assert found["h2.example"] == []
    told = "\n".join(found["h1"])
    assert "expected sealift-monitor among its alternative names" in told and "not for clients" in told
    path = acme / "group_data/all.py"
    path.write_text(path.read_text().replace("monitoring = {", "_other = {"))
    assert "expected monitoring.certificate and monitoring.key" in problems(acme)["h1"][0]


@pytest.mark.parametrize(
    ("name", "front"),
    [("sealift-monitor", ()), ("Sealift-Monitor", ()), ("h1", ("llm.example", "sealift-monitor"))],
)
def test_no_host_has_the_name_to_which_figures_are_shown(name: str, front: tuple[str, ...]) -> None:
    data = {**DATA, "front": {"names": front}} if front else DATA
    with pytest.raises(SealiftError, match=f"^{name}: is called sealift-monitor, or its front door is"):
        parse_inventory(Path("site.py"), [{"name": name, "groups": [], "data": data}])


def test_receivers_that_cannot_be_opened_are_told(acme: Path) -> None:
    path, webhook = acme / "group_data/all.py", acme / "webhook"
    path.write_text(path.read_text() + f'\nmonitoring |= {{"receivers": {{"webhook": "{webhook}"}}}}\n')
    assert [str(webhook) in line for line in problems(acme)["h1"]] == [True]
    webhook.write_text("https://pager.site.example/hook?token=SECRET\n")
    webhook.chmod(0o640)
    assert problems(acme)["h1"] == [f"{webhook}: has mode 0640, expected 0600. Run: chmod 600 {webhook}"]
    webhook.chmod(0o600)
    assert problems(acme)["h1"] == []


def test_receivers_stand_in_a_file_of_roots_alone_and_rules_of_the_site_beside_ours() -> None:
    secret = "https://pager.site.example/hook?token=SECRET"  # noqa: S105 - a stand-in
    own = "groups: [{name: site, rules: [{alert: Mine, expr: 'up > 0', labels: {x: '{{ $value }}'}}]}]"
    files = replace(SITE.files, receivers=Receivers(webhook=secret), rules=own.encode())
    generation = render_generation(
        site_settings(), watching_lock(), BUNDLE, frozenset({"monitor"}), {}, files, TEMPLATES, host="h1"
    )
    found = [path for path, file in generation.files.items() if b"SECRET" in file.content]
    assert found == ["alertmanager/alertmanager.yml"]
    assert generation.files[found[0]].mode == 0o600
    assert generation.files["prometheus/own.yml"].content.decode().strip() == own
    without = SITE.generation("monitor").files["prometheus/own.yml"].content
    assert yaml.safe_load(without) == {"groups": []}
    seen = {mount.target for mount in PROMETHEUS.mounts}
    assert {f"/etc/prometheus/rules/{name}.yml" for name in ("alerts", "objectives", "own")} < seen


def test_rules_are_judged_for_the_hosts_that_watch(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rules = acme / "group_data/all.py", acme / "rules.yml"
    path.write_text(path.read_text() + f'\nmonitoring |= {{"rules": "{rules}"}}\n')
    judged_by: list[str] = []

    def judge(given: Path, depot: Depot, of: LockedImage) -> None:
        judged_by.append(of.name)
        raise (SealiftError if given.read_text() else NoPromtoolError)(f"{given}: look")

    monkeypatch.setattr(Depot, "resolve", lambda *_: StoredRelease(BUNDLE, watching_lock()))
    monkeypatch.setattr(rule_check, "judge_rules", judge)
    hosts = load_inventory(str(acme)).hosts
    rules.write_text("wrong")
    assert rule_check.rule_problems(hosts) == ([f"{rules}: look"], [])
    rules.write_text("")
    assert rule_check.rule_problems(hosts) == ([], [f"{rules}: look"])
    assert judged_by == ["localhost/prometheus:1"] * 2
