"""What Docker is told: its daemon's configuration, and the device that stands in for a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from sealift.host.daemon_json import daemon_json
from sealift.host.settings import DockerSettings

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
