"""The command `sealift bench`: what it prints, what it keeps, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sealift.cli import bench as command
from sealift.cli.main import application
from sealift.depot.store import StoredRelease
from sealift.fleet.survey import Target
from sealift.measure.kept import keep
from sealift.measure.run import Found, Wanted
from sealift.measure.site import Ready
from sealift.site.inventory import Host, Inventory
from tests.unit.fleet_site import lock, site_settings
from tests.unit.measure.test_page import bench

NEW = f"sha256:{'b' * 64}"


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site of one host, where all is measured at once. Gives the folder of its runs."""
    host = Host("h1", frozenset(), site_settings(depot=str(tmp_path / "depot")))
    found = (Target(host, StoredRelease(NEW, lock())),)
    monkeypatch.setattr(command, "load_inventory", lambda _: Inventory("prod", Path("prod.py"), (host,)))
    monkeypatch.setattr(command, "targets", lambda _: found)
    monkeypatch.setattr(command, "ready", lambda *_: Ready((), "first", "demo:2", NEW))
    measuring(monkeypatch)
    return tmp_path / "bench"


def measuring(monkeypatch: pytest.MonkeyPatch, problem: str = "", interrupt: bool = False) -> list[Wanted]:
    """Have these results come, and give what was wanted."""
    asked: list[Wanted] = []
    run = bench()

    def measure(
        wanted: Wanted, of: Ready, tell: Callable[[str], None], warn: Callable[[str], None]
    ) -> Iterator[Found]:
        asked.append(wanted)
        yield from run.steps
        if interrupt:
            raise KeyboardInterrupt
        if problem:
            warn(problem)
        yield from run.colds
        yield from run.loads
        yield from run.bounds

    monkeypatch.setattr(command, "measure", measure)
    return asked


def ran(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(application("bench"), ["bench", "prod", *arguments])


def test_all_is_printed_and_kept(site: Path) -> None:
    result = ran()
    assert result.exit_code == 0, result.output
    said = " ".join(result.stdout.split())
    assert "short, 21 1 0.500 s (0.500 to 0.500) 3.2 s (3.2 to 3.2) 20.0 (20.0 to 20.0) 20.0 -" in said
    assert "h1 chat: 20% of the 100 tokens/s that memory allows one stream" in said
    assert "h1 chat: 2 requests a second for 10 s: 1 of 2 answered, the last after 4.5 s" in said
    assert "6 requests of client first not answered: 429: <script>alert(1)</script>" in result.stderr
    (kept,) = site.iterdir()
    assert json.loads(kept.read_text())["bundle"] == NEW


def test_a_run_stands_beside_the_last_releases(site: Path) -> None:
    keep(bench(), site)
    said = " ".join(ran().stdout.split())
    assert "Beside the run of 01 November 2026 12:00 UTC, demo:1:" in said
    assert "h1 chat short prompt, 1 streams: answer 3.20 s 3.20 s 1.00" in said


def test_an_older_file_that_cannot_be_read_costs_no_run(site: Path) -> None:
    old = keep(bench(), site)
    old.write_text('{"format": 2}')
    result = ran()
    assert result.exit_code == 0, result.output
    assert f"{old}: is no run of sealift bench" in " ".join(result.stderr.split())
    assert len([*site.iterdir()]) == 2


def test_a_run_that_cannot_be_kept_is_shown(site: Path) -> None:
    site.write_text("a file in the way")
    result = ran()
    assert result.exit_code == 1
    assert f"{site}: the run cannot be kept (File exists)" in str(result.exception)
    assert "20.0 (20.0 to 20.0)" in result.stdout


def test_what_has_become_slower_than_one_allows_fails(site: Path) -> None:
    fast = bench()
    quick = fast.steps[0].model_copy(update={"answer_s": fast.colds[0].load_s})  # 1.125 s, and now 3.2 s
    keep(fast.model_copy(update={"steps": (quick,)}), site)
    assert ran("--fail-above", "3").exit_code == 0
    result = ran("--fail-above", "2.5")
    assert result.exit_code == 1
    assert "h1: chat, short prompt, 1 streams: answer: 2.84 times as slow" in str(result.exception)


def test_json_has_the_run_and_what_it_was_held_against(site: Path) -> None:
    keep(bench(), site)
    said = json.loads(ran("--json").stdout)
    assert (said["bundle"], len(said["steps"]), len(said["compared"])) == (NEW, 5, 12)


def test_a_page_is_written(tmp_path: Path) -> None:
    result = ran("--out", str(tmp_path / "bench.html"))
    assert result.exit_code == 0
    assert (tmp_path / "bench.html").read_text().startswith("<!doctype html>")


def test_what_could_not_be_measured_fails_and_is_not_kept(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(monkeypatch, problem="h1: embed: 404: no such model")
    result = ran()
    assert result.exit_code == 1
    assert str(result.exception) == "h1: embed: 404: no such model"
    assert "20.0 (20.0 to 20.0)" in result.stdout
    assert not site.exists()


def test_ctrl_c_ends_with_what_there_is(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring(monkeypatch, interrupt=True)
    result = ran()
    assert result.exit_code == 1
    assert "prod: was interrupted." in str(result.exception)
    assert "20.0 (20.0 to 20.0)" in result.stdout
    assert not site.exists()


def test_streams_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = measuring(monkeypatch)
    assert ran("--streams", "8,1,8").exit_code == 0
    assert asked[0].streams == (1, 8)


@pytest.mark.parametrize("streams", ["", "0", "65", "1,,2", "-1", "a", "1e3"])
def test_other_streams_are_refused(streams: str) -> None:
    result = ran(f"--streams={streams}")
    assert result.exit_code == 1
    assert "expected numbers from 1 to 64" in str(result.exception)


def test_an_endless_load_is_refused() -> None:
    result = ran("--rate", "1000", "--seconds", "3600")
    assert "expected 20000 requests at most" in str(result.exception)
