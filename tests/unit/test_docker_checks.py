"""A host's own daemon.json is never replaced without a word."""

from __future__ import annotations

import json

import pytest

from sealift.host.daemon_json import daemon_json
from sealift.host.docker_checks import daemon_problems
from sealift.host.settings import DockerSettings

PLAIN = DockerSettings()
ASKED = DockerSettings(
    data_root="/srv/docker",
    insecure_registries=("registry.lan:5000",),
    registry_mirrors=("https://mirror.lan",),
    proxies={"http-proxy": "http://proxy.lan:3128"},
    default_runtime="nvidia",
)


@pytest.mark.parametrize("docker", [PLAIN, ASKED])
def test_what_sealift_writes_is_no_problem(docker: DockerSettings) -> None:
    text = daemon_json(docker).replace("\n", "")
    assert list(daemon_problems(text, docker)) == []
    assert list(daemon_problems("", docker)) == list(daemon_problems("{}", docker)) == []


def test_what_the_toolkit_adds_is_no_problem() -> None:
    text = json.dumps(
        {**json.loads(daemon_json(PLAIN)), "runtimes": {"nvidia": {}}, "features": {"cdi": True}}
    )
    assert list(daemon_problems(text, PLAIN)) == []


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
    ((what, expected, told),) = daemon_problems(json.dumps({key: value}), PLAIN)
    shown = "***" if key == "proxies" else json.dumps(value)
    assert what == f"its /etc/docker/daemon.json says {key}: {shown}, which would be lost"
    assert (expected, told) == ("what the inventory says", remedy)


def test_another_data_root_than_the_settings_is_refused() -> None:
    ((what, expected, told),) = daemon_problems(json.dumps({"data-root": "/data"}), ASKED)
    assert what.endswith("says another data-root") and expected == '"/srv/docker", as docker.data_root says'
    assert "would hide the containers" in told


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "\x1b[2J"])
def test_what_is_no_configuration_is_refused(text: str) -> None:
    ((what, _, _),) = daemon_problems(text, PLAIN)
    assert what == "its /etc/docker/daemon.json is no JSON object"
