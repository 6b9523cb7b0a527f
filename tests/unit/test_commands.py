"""The tool's commands: all there, though each loads only its own module."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from sealift.cli import main
from sealift.cli.main import application


def _names(app: typer.Typer) -> set[str | None]:
    groups = (str(group.name) for group in app.registered_groups)
    return {*(command.name for command in app.registered_commands), *groups}


@pytest.mark.parametrize("commands", main._COMMANDS.values(), ids=" ".join)
def test_a_command_comes_with_its_module_alone(commands: tuple[str, ...]) -> None:
    for command in commands:
        assert _names(application(command)) == set(commands)


@pytest.mark.parametrize("asked", ["", "--help", "bulid"])
def test_what_is_no_command_is_answered_with_all_of_them(asked: str) -> None:
    assert _names(application(asked)) == {name for names in main._COMMANDS.values() for name in names}


def test_building_loads_nothing_of_a_fleet() -> None:
    code = "import sys; from sealift.cli.main import application; application('build'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sealift.bundle.build" in loaded.stdout.split()
    assert not {"jinja2", "cryptography", "sealift.fleet.status"} & set(loaded.stdout.split())
