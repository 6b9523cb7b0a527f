"""SIGKILL at any moment of any step: the same command, run again, finishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site, digest_of

pytestmark = pytest.mark.exhaustive

# Parts of the time that the step took when it was left alone.
MOMENTS = (0.2, 0.6)


def killed_and_run_again(commands: Commands, seconds: float, *command: str | Path) -> int:
    """Kill a command at several moments of its run, then let it finish. How often it was really hit."""
    hits = sum(commands.kill_after(seconds * moment, *command) for moment in MOMENTS)
    commands.ok(*command)
    return hits


def test_lock_and_build_finish_after_being_killed(site: Site, commands: Commands, tmp_path: Path) -> None:
    lock, bundle = tmp_path / "demo.lock", tmp_path / "bundle"
    locking = ("sealift", "lock", "releases/demo.yaml", "--sources", site.sources, "--out", lock)
    seconds = commands.ok(*locking[:-1], tmp_path / "alone.lock").seconds
    assert killed_and_run_again(commands, seconds, *locking) >= 1
    building = ("build", site.lock, "--sources", site.sources, "--out", bundle, "--key", site.release_key)
    assert killed_and_run_again(commands, site.steps["build"].seconds, "sealift", *building) >= 1
    assert digest_of(bundle) == site.bundle_digest


def test_import_finishes_after_being_killed(site: Site, commands: Commands, tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    importing = ("sealift", "import", site.bundle, "--allowed-signers", site.allowed_signers, "--depot")
    seconds = commands.ok(*importing, tmp_path / "left alone").seconds
    assert killed_and_run_again(commands, seconds, *importing, depot) >= 1
    wanted = {blob.name for blob in (site.depot / "blobs/sha256").iterdir()}
    assert {blob.name for blob in (depot / "blobs/sha256").iterdir()} == wanted


@pytest.fixture
def stocked(site: Site, fresh: Commands) -> Commands:
    """Two bare hosts and a depot with the release."""
    fresh.ok(
        *("sealift", "import", site.bundle, "--depot", fresh.lab / "depot"),
        *("--allowed-signers", site.allowed_signers),
    )
    return fresh


def test_ship_and_apply_finish_after_being_killed(site: Site, stocked: Commands) -> None:
    """Killed while shipping, then in the middle of pyinfra's work; in the end nothing is left to do."""
    shipping = 1.0
    assert stocked.kill_after(shipping, "sealift", "ship", "lab")
    stocked.kill_after(shipping * 2, "sealift", "ship", "lab")
    stocked.ok("sealift", "ship", "lab")
    seconds = site.steps["apply"].seconds
    hits = [stocked.kill_after(seconds * moment, "sealift", "apply", "lab") for moment in (0.2, 0.4, 0.5)]
    assert any(hits)
    stocked.ok("sealift", "apply", "lab")
    stocked.ok("sealift", "status", "lab")
    stocked.ok("sealift", "ask", "lab", "chat", "Say something.")
    assert set(map(tuple, stocked.changed_operations().values())) == {()}
