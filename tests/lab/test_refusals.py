"""Bad input is refused with a message that names it, and nothing is done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.fleet.wave import one_rollout
from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site


def test_every_mistake_of_a_release_file_is_listed_and_nothing_is_done(
    commands: Commands, sources: Path, tmp_path: Path
) -> None:
    text = (CHECKOUT / "releases/demo.yaml").read_text()
    release = tmp_path / "bad.yaml"
    release.write_text(
        text.replace("version: 2026.11.0", "version: [2026]")
        .replace("suite: trixie", "suite: sarge")
        .replace("context: 2048", "context: 1")
    )
    refused = commands.refused("sealift", "lock", release, "--sources", sources, "--out", tmp_path / "lock")
    for path in ("version", "suite", "roles.chat.context"):
        assert f"bad.yaml: {path}: " in refused.said
    assert not (tmp_path / "lock").exists()


def flip_a_byte(bundle: Path, blob: Path) -> str:
    with blob.open("r+b") as file:
        file.seek(blob.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    return blob.name


def truncate(bundle: Path, blob: Path) -> str:
    with blob.open("r+b") as file:
        file.truncate(blob.stat().st_size - 1)
    return blob.name


def lose(bundle: Path, blob: Path) -> str:
    blob.unlink()
    return blob.name


def alter_the_index(bundle: Path, blob: Path) -> str:
    index = bundle / "index.json"
    index.write_bytes(index.read_bytes().replace(b"demo", b"Demo", 1) + b"\n")
    return "index.json"


def lose_the_signature(bundle: Path, blob: Path) -> str:
    (bundle / "index.json.sig").unlink()
    return "index.json.sig"


DAMAGE = [flip_a_byte, truncate, lose, alter_the_index, lose_the_signature]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_bundle_is_refused_and_the_damage_named(
    site: Site, commands: Commands, tmp_path: Path, damage: Callable[[Path, Path], str]
) -> None:
    bundle, depot = tmp_path / "bundle", tmp_path / "depot"
    shutil.copytree(site.bundle, bundle)
    weights = max((bundle / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    weights.chmod(0o644)
    named = damage(bundle, weights)
    refused = commands.refused(
        "sealift", "import", bundle, "--depot", depot, "--allowed-signers", site.allowed_signers
    )
    assert named in refused.said
    assert not list(depot.glob("releases/*/*"))


def test_a_bundle_of_a_foreign_signer_is_refused(site: Site, commands: Commands, tmp_path: Path) -> None:
    key = tmp_path / "foreign"
    commands.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "release@lab", "-f", key)
    bundle = tmp_path / "bundle"
    commands.ok("sealift", "build", site.lock, "--sources", site.sources, "--out", bundle, "--key", key)
    refused = commands.refused(
        "sealift", "import", bundle, "--depot", tmp_path / "depot", "--allowed-signers", site.allowed_signers
    )
    assert "sign" in refused.said
    assert not list((tmp_path / "depot").glob("releases/*/*"))


def test_nothing_is_shipped_beside_another_rollout(site: Site, commands: Commands) -> None:
    """Nor beside gc --apply, which holds the same lock."""
    ship = "cd /srv/sealift/deployment && sealift ship lab"
    with one_rollout(site.depot):
        refused = commands.try_on_control(ship)
        assert refused.code == 1 and "another rollout is running" in refused.said
    assert commands.try_on_control(ship).code == 0


def test_no_key_stands_in_evidence_or_on_a_command_line(site: Site, commands: Commands) -> None:
    key = commands.api_key()
    for path in site.evidence.rglob("*"):
        assert key not in path.read_text()
    shown = {name: ran.out + ran.err for name, ran in site.steps.items()}
    assert shown.pop("init").count(key) == 1  # where it is made, once
    assert key not in json.dumps(shown)
    assert key not in commands.on("h1", "cat /proc/*/cmdline | tr '\\0' ' '")
    assert commands.on("h1", "stat -c %a /var/lib/sealift/current/gateway/live/keys.yaml").strip() == "600"
