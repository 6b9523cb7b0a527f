"""Which deployment is in force, and which are removed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.install.activate import activate, remove_old
from tests.unit.killing import killed_at


def test_links_put_a_deployment_in_force_and_a_second_time_change_nothing(tmp_path: Path) -> None:
    command = tmp_path / "bin/sealift"
    for name in ("a", "b"):
        deployment = tmp_path / "to/deployments" / name
        (deployment / ".venv/bin").mkdir(parents=True)
        (deployment / ".venv/bin/sealift").write_text(name)
        assert activate(deployment, tmp_path / "to", command)
        assert not activate(deployment, tmp_path / "to", command)
        assert command.read_text() == name
        assert (tmp_path / "to/deployment").readlink() == Path("deployments") / name
    assert (tmp_path / "to/deployment-before").readlink() == Path("deployments/a")
    names = ["deployment", "deployment-before", "deployments"]
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == names


def _put_in_force(to: Path, *names: str) -> list[tuple[str, ...]]:
    """Deployments one after the other, and what was removed behind each."""
    removed = []
    for name in names:
        (to / "deployments" / name / ".venv/bin").mkdir(parents=True, exist_ok=True)
        (to / "deployments" / name / ".venv/bin/sealift").write_text(name)
        activate(to / "deployments" / name, to, to / "sealift")
        removed.append(remove_old(to))
    return removed


def _there(to: Path) -> list[str]:
    return sorted(path.name for path in (to / "deployments").iterdir())


A, B, C, D = (letter * 16 for letter in "abcd")


def test_the_deployment_in_force_and_the_one_before_it_stay(tmp_path: Path) -> None:
    assert _put_in_force(tmp_path, A, B, B, A, A) == [()] * 5
    assert _there(tmp_path) == [A, B]
    assert _put_in_force(tmp_path, C, C, D) == [(B,), (), (A,)]
    assert _there(tmp_path) == [C, D]


def test_the_deployment_that_runs_now_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other name").symlink_to(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "other name/deployments" / A / ".venv"))
    assert _put_in_force(tmp_path, A, B, C, D)[2:] == [(), (B,)]
    assert _there(tmp_path) == [A, C, D]


def test_nothing_but_deployments_is_removed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    _put_in_force(tmp_path, A)
    deployments = tmp_path / "deployments"
    for name in ("abc", "f" * 17, "F" * 16, f".{A}", f"{A}.old", "lost+found"):
        (deployments / name).mkdir()
    (deployments / ("0" * 16)).symlink_to(tmp_path / "elsewhere")
    (deployments / ("1" * 16)).write_text("a file")
    before = set(_there(tmp_path))
    assert _put_in_force(tmp_path, B, C) == [(), (A,)]
    assert set(_there(tmp_path)) == before - {A} | {B, C}


def test_several_deployments_stay_while_nothing_says_which_was_before(tmp_path: Path) -> None:
    """As installations left them that did not say it yet."""
    for name in (A, B, C):
        (tmp_path / "deployments" / name).mkdir(parents=True)
    assert _put_in_force(tmp_path, C) == [()]
    assert _there(tmp_path) == [A, B, C]
    assert _put_in_force(tmp_path, D) == [(A, B)]


def test_killed_at_any_step_two_deployments_stay_and_the_rest_goes_the_next_time(tmp_path: Path) -> None:
    step = 0
    for step in range(1, 1000):
        to = tmp_path / f"killed{step}"
        _put_in_force(to, A, B)
        (to / "deployments" / f".{D}.partial").mkdir()  # its unpacking was killed
        if not killed_at(step, lambda to=to: _put_in_force(to, C)):  # type: ignore[misc]
            break
        now = (to / "deployment").resolve()
        assert now.name in (B, C)
        assert {B, C} <= set(_there(to))
        for name in {A, B} & set(_there(to)):  # what has its name is whole
            assert (to / "deployments" / name / ".venv/bin/sealift").read_text() == name
        _put_in_force(to, C)
        assert _there(to) == [B, C]
        assert (to / "deployment").resolve().name == C
    assert step > 8


def test_a_command_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    command = tmp_path / "sealift"
    command.write_text("somebody's own")
    with pytest.raises(SealiftError, match=f"^{command}: is there and no link"):
        activate(tmp_path / "to/deployments/a", tmp_path / "to", command)
    assert command.read_text() == "somebody's own"
