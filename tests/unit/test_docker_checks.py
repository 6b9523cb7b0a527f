"""What a site has set up for Docker is never lost without a word."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sealift.host.daemon_json import daemon_json
from sealift.host.docker_checks import HostDocker, docker_problems, parse_docker
from sealift.host.engine import answers
from sealift.host.key_values import key_values
from sealift.host.probe import PROBE
from sealift.host.settings import DockerSettings
from sealift.host_paths import ROOT
from sealift.operations.docker import recorded
from tests.unit.docker_said import container, listed, policy, server

DAEMON_JSON, CONTAINERD_TOML = "/etc/docker/daemon.json", "/etc/containerd/config.toml"
PLAIN = DockerSettings()
ASKED = DockerSettings(
    data_root="/srv/docker",
    insecure_registries=("registry.lan:5000",),
    registry_mirrors=("https://mirror.lan",),
    proxies={"http-proxy": "http://proxy.lan:3128"},
    default_runtime="nvidia",
)

Problems = list[tuple[str, str, str]]


def problems(
    text: str = "", docker: DockerSettings = PLAIN, gpu: bool = False, origin: str = "site", **more: Any
) -> Problems:
    """Of a host with this daemon.json. + origin: who wrote it. + more: fields of HostDocker"""
    found = HostDocker(daemon_json=text.replace("\n", ""), origins={DAEMON_JSON: origin}, **more)
    return list(docker_problems(found, docker, gpu))


@pytest.mark.parametrize("docker", [PLAIN, ASKED])
def test_what_sealift_writes_is_no_problem(docker: DockerSettings) -> None:
    assert problems(daemon_json(docker), docker, gpu=True) == []
    assert problems("", docker, gpu=True) == problems("{}", docker, gpu=True) == []


def test_what_the_toolkit_adds_is_no_problem_in_the_group_gpu() -> None:
    added = {"runtimes": {"nvidia": {}}, "features": {"cdi": True}}
    text = json.dumps({**json.loads(daemon_json(PLAIN)), **added})
    assert problems(text, gpu=True) == []
    assert len(problems(text, gpu=False)) == 2
    assert problems(text, gpu=False, deployed=True) == []  # it has left that group


def test_a_runtime_of_the_sites_own_is_named_alone() -> None:
    ((what, _, told),) = problems('{"runtimes": {"nvidia": {}, "kata": {}}}', gpu=True)
    assert what.endswith('says runtimes: {"kata": {}}, which would be lost')
    assert told == "Take it out of that file, if it may go."


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        ("data-root", "/srv/docker", "Set docker.data_root in the inventory."),
        ("insecure-registries", ["a:5000"], "Set docker.insecure_registries in the inventory."),
        ("registry-mirrors", ["https://a"], "Set docker.registry_mirrors in the inventory."),
        ("proxies", {"http-proxy": "http://a"}, "Set docker.proxies in the inventory."),
        ("default-runtime", "nvidia", "Set docker.default_runtime in the inventory."),
        ("dns", ["10.0.0.1"], "Take it out of that file, if it may go."),
    ],
)
def test_a_key_that_would_be_lost_is_named_with_its_setting(key: str, value: object, remedy: str) -> None:
    for deployed in (False, True):
        ((what, expected, told),) = problems(json.dumps({key: value}), deployed=deployed)
        shown = "***" if key == "proxies" else json.dumps(value)
        assert what == f"its /etc/docker/daemon.json says {key}: {shown}, which would be lost"
        assert (expected, told) == ("what the inventory says", remedy)


@pytest.mark.parametrize(
    ("key", "value", "said", "expected", "remedy"),
    [
        ("log-driver", "journald", '"journald"', '"json-file", as sealift says', "Take it out of that file"),
        ("live-restore", False, "false", "true, as sealift says", "Take it out of that file"),
        (
            "log-opts",
            {"max-size": "1g", "max-file": "3"},
            '{"max-size": "1g"}',
            "as docker.log_max_size or docker.log_max_file says",
            "Correct one of the two.",
        ),
        (
            "default-address-pools",
            [{"base": "10.9.0.0/16", "size": 24}],
            '[{"base": "10.9.0.0/16", "size": 24}]',
            "as docker.address_pool says",
            "Correct one of the two.",
        ),
    ],
)
def test_a_sites_value_of_a_key_of_ours_is_named_before_the_first_apply_and_mended_after(
    key: str, value: object, said: str, expected: str, remedy: str
) -> None:
    ((what, wanted, told),) = problems(json.dumps({key: value}))
    assert what == f"its /etc/docker/daemon.json says another {key}: {said}"
    assert wanted.endswith(expected) and told.startswith(remedy)
    assert problems(json.dumps({key: value}), deployed=True) == []


@pytest.mark.parametrize(("before", "after"), [(PLAIN, ASKED), (ASKED, PLAIN)])
def test_a_setting_can_be_changed_where_sealift_wrote_the_file(
    before: DockerSettings, after: DockerSettings
) -> None:
    assert problems(daemon_json(before), after, gpu=True, origin="sealift", deployed=True) == []


def test_another_value_than_the_settings_is_refused() -> None:
    ((what, expected, told),) = problems(json.dumps({"insecure-registries": ["a"]}), ASKED, gpu=True)
    assert what.endswith('says another insecure-registries: ["a"]')
    assert expected == '["registry.lan:5000"], as docker.insecure_registries says'
    assert told == "Correct one of the two."


@pytest.mark.parametrize("origin", ["site", "sealift"])
@pytest.mark.parametrize(("has", "docker"), [("/var/lib/docker", ASKED), ("/srv/docker", PLAIN)])
def test_a_data_root_that_would_hide_containers_is_refused_with_their_names(
    has: str, docker: DockerSettings, origin: str
) -> None:
    text = json.dumps({"data-root": has})
    names = ("web", "db", "c", "d", "e", "f\x1b[2J")
    wanted = docker.data_root or "/var/lib/docker"
    more: dict[str, Any] = {"data_root": has, "wanted_root": wanted, "all_containers": names}
    ((what, expected, told),) = problems(text, docker, gpu=True, origin=origin, **more)
    assert what.startswith(f"its Docker has its data in {has}, with the containers c, d, db, e, ")
    assert "and 1 more, which would be out of its sight" in what and "\x1b" not in what
    assert expected == f"{wanted}, as docker.data_root or data_folder says"
    assert told.startswith("Set docker.data_root") and told.endswith(f"; mv -T {has} {wanted}")
    for same in ({"all_containers": ()}, {"wanted_root": has}):  # the latter: by a link
        assert problems("", docker, gpu=True, **{**more, **same}) == []


RUNNING = (
    ("no", container("", "running", name="web")),
    ("on-failure", container("shop", "running", name="shop-db-1")),
    ("always", container("", "running", name="a")),
    ("unless-stopped", container("", "running", name="b")),
    ("no", container("sealift-ollama", "running", name="c")),
    ("no", container("", "exited", name="d")),
)


def _found(*running: tuple[str, dict[str, Any]], live_restore: bool = False) -> HostDocker:
    policies = [policy(each["Id"], of) for of, each in running]
    said = (server(LiveRestoreEnabled=live_restore), listed(*(each for _, each in running)), *policies)
    return parse_docker({"docker_data": ["/var/lib/docker"]}, answers(said))


def test_containers_that_a_restart_of_docker_would_end_are_named() -> None:
    found = _found(*RUNNING)
    assert set(found.all_containers) == {"web", "shop-db-1", *"abcd"}
    ((what, expected, told),) = docker_problems(found, PLAIN, gpu=False)
    assert what.endswith("must restart to read its configuration, which ends the containers shop-db-1 web")
    assert expected == "containers that start again by themselves"
    assert told.endswith("docker update --restart unless-stopped shop-db-1 web")


def test_no_container_ends_where_the_daemon_lets_them_go_on_or_none_would_stay_away() -> None:
    for found in (_found(*RUNNING, live_restore=True), _found(*RUNNING[2:]), parse_docker({}, {})):
        assert list(docker_problems(found, PLAIN, gpu=False)) == []


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\x1b[2J"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    ((what, _, _),) = problems(text)
    assert what == "its /etc/docker/daemon.json is no JSON object"


@pytest.mark.parametrize(("origin", "count"), [("site", 1), ("package", 0), ("sealift", 0)])
def test_a_sites_configuration_of_containerd_is_named_before_the_first_apply(origin: str, count: int) -> None:
    found = HostDocker(origins={CONTAINERD_TOML: origin})
    assert len(list(docker_problems(found, PLAIN, gpu=False))) == count
    deployed = HostDocker(origins={CONTAINERD_TOML: origin}, deployed=True)
    assert list(docker_problems(deployed, PLAIN, gpu=False)) == []


def test_a_default_runtime_that_the_host_will_not_have_is_refused() -> None:
    nvidia = DockerSettings(default_runtime="nvidia")
    ((what, expected, _),) = problems(docker=nvidia, gpu=False)
    assert "docker.default_runtime" in what and expected == "the group gpu"
    assert problems(docker=nvidia, gpu=True) == []


def test_docker_as_a_snap_is_refused() -> None:
    ((what, _, told),) = problems(snap=True)
    assert what == "has Docker as a snap" and told.startswith("Remove: snap remove docker")


def test_the_probe_tells_who_wrote_a_configuration_by_its_content(tmp_path: Path) -> None:
    ours, packaged, sites = (tmp_path / name for name in ("ours", "packaged", "sites"))
    for path in (ours, packaged, sites):
        path.write_text(f"{path.name}\n")
    for content in (ours.read_bytes(), b"a later one"):
        record = recorded(hashlib.sha256(content).hexdigest()).replace(ROOT, str(tmp_path))
        subprocess.run(["sh", "-c", record], check=True)
    query = tmp_path / "dpkg-query"
    md5 = hashlib.md5(packaged.read_bytes(), usedforsecurity=False).hexdigest()
    query.write_text(f"#!/bin/sh\nprintf '\\n {packaged} {md5}\\n {sites} {md5}\\n'\n")
    query.chmod(0o755)
    function = PROBE.partition("configuration() {")[2].partition("\n}\n")[0]
    script = "\n".join(
        (
            f"set -u\nstands={tmp_path}\nconfiguration() {{{function}\n}}",
            *(f"configuration {path}" for path in (ours, packaged, sites, tmp_path / "none")),
        )
    )
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert parse_docker(key_values(ran.stdout), {}).origins == {
        str(ours): "sealift",
        str(packaged): "package",
        str(sites): "site",
    }
