"""What Docker is told: its daemon's configuration, and the device that stands in for a GPU."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from pyinfra.api import FactProcessError

from sealift.depot.repository import SignedRepository
from sealift.drift.checks import checks
from sealift.facts.docker import DAEMON_JSON
from sealift.facts.nvidia import Merged, StandingAndMerged
from sealift.host.daemon_json import daemon_json, daemon_json_mode, for_toolkit, merged_daemon_json
from sealift.host.settings import DockerSettings
from tests.unit.fleet_site import wanted

ROOT = Path(__file__).parents[2]


def test_daemon_json_holds_what_the_site_says() -> None:
    text = daemon_json(DockerSettings(log_max_size="50m", log_max_file=5, address_pool="10.9.0.0/16"))
    assert json.loads(text) == {
        "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}],
        "icc": False,
        "live-restore": True,
        "log-driver": "json-file",
        "log-opts": {"max-file": "5", "max-size": "50m"},
        "no-new-privileges": True,
        "userland-proxy": False,
    }
    assert text.endswith("}\n")


REPOSITORY = SignedRepository(b"", b"", b"")
LOGIN = DockerSettings(proxies={"https-proxy": "http://me:pass@proxy.lan:3128"})
PROXY = DockerSettings(proxies={"https-proxy": "http://proxy.lan:3128", "no-proxy": "me@lan"})


@pytest.mark.parametrize(("docker", "mode"), [(DockerSettings(), "644"), (PROXY, "644"), (LOGIN, "600")])
def test_a_proxy_with_a_login_is_for_root_alone(docker: DockerSettings, mode: str) -> None:
    assert daemon_json_mode(docker) == mode
    site = wanted(docker=docker.model_dump())
    (check,) = [each for each in checks(site, REPOSITORY) if each.arguments == {"path": DAEMON_JSON}]
    digest = hashlib.sha256(daemon_json(docker).encode()).hexdigest()
    assert list(check.judge((digest, mode))) == []
    for other in {"644", "600", "640"} - {mode}:
        assert list(check.judge((digest, other))) == [f"{DAEMON_JSON} has mode {other}, expected {mode}"]


def test_nvidias_tool_merges_without_the_login_which_is_in_no_command() -> None:
    given = for_toolkit(LOGIN)
    assert "pass" not in given and given == daemon_json(DockerSettings())
    merged = json.dumps({**json.loads(given), "runtimes": {"nvidia": {}}}, indent=4) + "\n"
    assert merged_daemon_json(merged, DockerSettings()) == merged
    whole = merged_daemon_json(merged, LOGIN)
    assert json.loads(whole) == {**json.loads(merged), "proxies": LOGIN.proxies}
    site = wanted("gpu", docker=LOGIN.model_dump(), gpu={"stand_in": True})
    (check,) = [each for each in checks(site, REPOSITORY) if each.fact is StandingAndMerged]
    assert "pass" not in StandingAndMerged().command(**check.arguments)
    stands = hashlib.sha256(whole.encode()).hexdigest()
    for standing, told in (
        ((stands, "600"), []),
        ((stands, "644"), [f"{DAEMON_JSON} has mode 644, expected 600"]),
        (("0", "600"), [f"{DAEMON_JSON} altered"]),
        (None, [f"{DAEMON_JSON} missing"]),
    ):
        assert list(check.judge(Merged(standing, merged))) == told
    assert list(check.judge(None)) == [f"{DAEMON_JSON} lacks NVIDIA's runtime"]


def test_what_stands_and_what_the_tool_says_are_told_apart() -> None:
    file = [f"{'0' * 64}  -", "644"]
    read = StandingAndMerged().process
    assert read([*file, "merged:", "{", "}"]) == Merged(("0" * 64, "644"), "{\n}\n")
    assert read(["merged:", "{}"]) == Merged(None, "{}\n")
    assert read([*file, "merged:"]) is None  # the tool failed
    for lines in ([*file, "merged:", "[]"], [*file, "merged:", "{"], file):
        with pytest.raises(FactProcessError):
            read(lines)


def test_the_stand_in_says_what_it_is_and_has_no_device_of_the_hosts_but_null() -> None:
    text = (ROOT / "files" / "nvidia" / "stand-in.cdi.yaml").read_text()
    assert text.startswith("# A STAND-IN, not a GPU")
    spec = yaml.safe_load(text)
    assert spec["kind"] == "nvidia.com/gpu"
    assert [device["name"] for device in spec["devices"]] == ["0", "all"]
    for device in spec["devices"]:
        assert device["containerEdits"] == {
            "deviceNodes": [{"path": "/dev/stand-in-gpu", "hostPath": "/dev/null"}]
        }
