"""What a site lacks is carried, and only that; what its depot lost is had again from a host."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site, digest_of


@pytest.fixture
def depot(site: Site, tmp_path: Path) -> Path:
    """The site's depot once more, of hard links: files are only ever replaced in it."""
    shutil.copytree(site.depot, tmp_path / "depot", copy_function=lambda a, b: Path(b).hardlink_to(a))
    return tmp_path / "depot"


def upgraded(site: Site, commands: Commands, folder: Path) -> Path:
    """The lock of the next release: another context, everything else as it was."""
    text = (CHECKOUT / "releases/demo.yaml").read_text()
    release = folder / "next.yaml"
    release.write_text(
        text.replace("version: 2026.11.0", "version: 2026.11.1").replace("context: 2048", "context: 1024")
    )
    commands.ok("sealift", "lock", release, "--sources", site.sources, "--out", folder / "next.lock")
    return folder / "next.lock"


def test_an_upgrade_carries_only_what_the_site_lacks(
    site: Site, commands: Commands, depot: Path, tmp_path: Path
) -> None:
    key, have, sites = tmp_path / "site_key", tmp_path / "have.json", tmp_path / "sites"
    commands.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    public = key.with_suffix(".pub").read_text().split()[:2]
    sites.write_text(f'lab namespaces="sealift-have" {" ".join(public)}\n')
    commands.ok("sealift", "have", "--depot", depot, "--key", key, "--out", have, "--site", "lab")

    lock, full, delta = upgraded(site, commands, tmp_path), tmp_path / "full", tmp_path / "delta"
    build = (
        "sealift",
        "build",
        lock,
        "--sources",
        site.sources,
        "--key",
        site.release_key,
        "--json",
        "--out",
    )
    commands.ok(*build, full)
    built = json.loads(commands.ok(*build, delta, "--for", have, "--allowed-signers", sites).out)
    assert built["digest"] == digest_of(full) == digest_of(delta)
    assert built["carried_bytes"] < 1_000_000 < built["bytes"]

    take = ("--allowed-signers", site.allowed_signers)
    refused = commands.refused("sealift", "import", delta, "--depot", tmp_path / "other", *take)
    assert "gemma3:270m: sha256:" in refused.said
    assert "make a new one with sealift have" in refused.said
    assert not list((tmp_path / "other").glob("releases/*/*"))
    commands.ok("sealift", "import", delta, "--depot", depot, *take)
    assert (depot / "releases/demo/2026.11.1").read_text().strip() == built["digest"]

    gc = ("sealift", "gc", "--depot", depot, "--keep", "1", "--apply")
    commands.ok(*gc, "--inventory", "lab")  # the hosts run the release before
    assert sorted(path.name for path in (depot / "releases/demo").iterdir()) == ["2026.11.0", "2026.11.1"]
    assert commands.refused(*gc).code == 2  # nothing says that no host runs it
    assert sorted(path.name for path in (depot / "releases/demo").iterdir()) == ["2026.11.0", "2026.11.1"]
    commands.ok(*gc, "--no-inventory")
    assert [path.name for path in (depot / "releases/demo").iterdir()] == ["2026.11.1"]
    commands.ok("sealift", "fsck", "--depot", depot)


def test_a_depot_is_repaired_from_a_host_and_from_media(site: Site, commands: Commands, depot: Path) -> None:
    weights = max((depot / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1

    def damage() -> None:
        weights.unlink()
        weights.write_bytes(content)

    damage()
    refused = commands.refused("sealift", "fsck", "--depot", depot)
    assert f"demo:2026.11.0: gemma3:270m: sha256:{weights.name}" in refused.said
    repaired = commands.ok("sealift", "fsck", "--depot", depot, "--repair-from-host", "lab", "h1")
    assert "was damaged: repaired from h1" in repaired.said
    commands.ok("sealift", "fsck", "--depot", depot)
    damage()
    repaired = commands.ok("sealift", "fsck", "--depot", depot, "--repair-from", site.lab / "media")
    assert f"was damaged: repaired from {site.lab / 'media'}" in repaired.said
    commands.ok("sealift", "fsck", "--depot", depot)
