"""The command dashboard, and which Prometheus is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sealift.cli import dashboard as command
from sealift.cli.main import application
from sealift.errors import SealiftError
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Ssh
from sealift.watch.prometheus import Question, ask
from tests.unit.fleet_site import site_settings


def host(name: str, *groups: str) -> Host:
    return Host(name, frozenset(groups), site_settings())


MONITORS = (host("mon1", "monitor"), host("mon2", "monitor"))


def answering(patch: pytest.MonkeyPatch, *silent: str) -> list[str]:
    """Have hosts say of every question that there are no series. Gives those that were asked."""
    asked: list[str] = []

    def run_with(self: Ssh, script: str, data: bytes, *arguments: Any, **_: Any) -> str:
        asked.append(self.host)
        if self.host in silent:
            raise SealiftError(f"{self.host}: does not answer")
        return "ok []\n" * data.count(b"\n")

    patch.setattr(Ssh, "run_with", run_with)
    return asked


def dashboard(patch: pytest.MonkeyPatch, hosts: tuple[Host, ...], *options: str) -> Any:
    patch.setattr(command, "load_inventory", lambda _: Inventory("prod", Path("prod.py"), hosts))
    return CliRunner().invoke(application("dashboard"), ["dashboard", "prod", *options])


def test_the_next_prometheus_is_asked_where_the_first_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = answering(monkeypatch, "mon1")
    assert ask(MONITORS, {"up": Question("up")}, 1).host == "mon2"
    assert asked == ["mon1", "mon2"]


def test_where_no_prometheus_answers_each_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "mon1", "mon2")
    with pytest.raises(SealiftError, match=r"^mon1: does not answer\nmon2: does not answer$"):
        ask(MONITORS, {"up": Question("up")}, 1)


def test_a_question_is_one_line_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch)
    assert ask(MONITORS, {"a": Question("sum(\n  up\n)"), "b": Question("up")}, 1).failed == {}


def test_the_page_is_written_to_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answering(monkeypatch)
    ran = dashboard(monkeypatch, (host("h1"), *MONITORS), "--out", str(tmp_path / "page.html"))
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "page.html").read_text()
    assert "the last 24 h, as Prometheus on mon1 has it" in page
    assert "written" in ran.output and "refresh" not in page


@pytest.mark.parametrize("since", ["9m", "0d", "1001d"])
def test_a_time_that_no_page_can_show_is_refused(monkeypatch: pytest.MonkeyPatch, since: str) -> None:
    ran = dashboard(monkeypatch, MONITORS, "--since", since)
    assert f"--since: {since} is out of range, expected 10m to 1000d." in str(ran.exception)


def test_without_a_monitor_the_command_says_how_to_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = dashboard(monkeypatch, (host("h1"),))
    assert "prod: no host of group monitor" in str(ran.exception)
