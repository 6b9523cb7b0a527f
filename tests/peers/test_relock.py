"""A lock that is made again: what changed is shown, and `--check` tells whether it is stale."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.commands import CHECKOUT, Commands
from tests.peers.conftest import SOURCES, Demo


def test_check_tells_a_stale_lock_and_lock_shows_what_changed(demo: Demo, tmp_path: Path) -> None:
    release, path = tmp_path / "demo.yaml", tmp_path / "demo.lock"
    release.write_text((CHECKOUT / "releases/demo.yaml").read_text())
    lock = ("sealift", "lock", release, "--sources", SOURCES)
    commands = Commands(tmp_path / "no lab")  # this needs no hosts

    commands.refused(*lock, "--check")
    assert not path.exists()
    path.write_text('{"of": "another version"}')
    assert "written" in commands.ok(*lock).said

    before = path.read_bytes()
    release.write_text(release.read_text().replace("docker-compose, iptables", "iptables"))
    refused = commands.refused(*lock, "--check")
    assert refused.code == 1
    assert "docker-compose" in refused.out
    assert f"{path}: is not what {release} and its sources give now" in refused.said
    assert path.read_bytes() == before

    told = json.loads(commands.ok(*lock, "--json").out)
    assert [(change["kind"], change["what"], change["name"]) for change in told["changes"]] == [
        ("release", "changed", "packages.all"),
        ("package", "removed", "docker-compose"),
    ]
    assert (told["state"], told["carry"]) == ("written", {"blobs": 0, "bytes": 0})
    assert "unchanged" in commands.ok(*lock, "--check").said
