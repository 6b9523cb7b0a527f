"""The tool's commands: all there, though each loads only its own module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from sealift.cli.main import _PANELS, application

_MODULES = [commands for part in _PANELS.values() for commands in part.values()]


def _names(app: typer.Typer) -> set[str | None]:
    groups = (str(group.name) for group in app.registered_groups)
    return {*(command.name for command in app.registered_commands), *groups}


@pytest.mark.parametrize("commands", _MODULES, ids=" ".join)
def test_a_command_comes_with_its_module_alone(commands: tuple[str, ...]) -> None:
    for command in commands:
        assert _names(application(command)) == set(commands)


@pytest.mark.parametrize("asked", ["", "--help", "bulid"])
def test_what_is_no_command_is_answered_with_all_of_them(asked: str) -> None:
    assert _names(application(asked)) == {name for names in _MODULES for name in names}


def test_building_loads_nothing_of_a_fleet() -> None:
    code = "import sys; from sealift.cli.main import application; application('build'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sealift.bundle.build" in loaded.stdout.split()
    assert not {"jinja2", "cryptography", "sealift.fleet.status"} & set(loaded.stdout.split())


def _run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sealift", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_help_has_a_panel_for_each_place() -> None:
    shown = _run("--help").stdout
    assert [panel for panel in _PANELS if f" {panel} " not in shown] == []


@pytest.mark.parametrize("command", [("lab", "exec"), ("lab", "ssh")])
def test_help_is_the_commands_own(command: tuple[str, ...]) -> None:
    ran = _run(*command, "--help")
    assert ran.returncode == 0
    assert f"Usage: sealift {' '.join(command)}" in ran.stdout


def _commands() -> list[str]:
    """Every command, those of groups among them; but for the lab's, which no operator types."""
    app = application()
    groups = {str(group.name): group.typer_instance for group in app.registered_groups}
    inner = [
        f"{name} {command.name or command.callback.__name__}"
        for name, group in groups.items()
        for command in (group.registered_commands if group else ())
        if name != "lab" and command.callback
    ]
    return [*(str(command.name) for command in app.registered_commands), *inner]


@pytest.mark.parametrize("command", _commands())
def test_help_has_an_example(command: str) -> None:
    shown = " ".join(_run(*command.split(), "--help").stdout.split())
    assert f"Example: sealift {command} " in shown


def test_a_wrong_file_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    ran = _run("lock", "passwd", "--sources", ".", "--out", "x.lock", cwd=tmp_path)
    assert ran.returncode == 1
    assert "root:x:0:0:root" in ran.stderr


DEPOT_COMMANDS = {
    "fsck": (),
    "gc": (),
    "have": ("--key", "key", "--out", "have.json"),
}


@pytest.mark.parametrize("name", DEPOT_COMMANDS)
def test_a_folder_that_is_no_depot_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    subprocess.run(["ssh-keygen", "-qN", "", "-t", "ed25519", "-f", tmp_path / "key"], check=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("h1\n")
    ran = _run(name, "--depot", "etc", *DEPOT_COMMANDS[name], cwd=tmp_path)
    assert ran.returncode == 1
    assert "etc: is no depot, expected the folder that sealift import fills." in " ".join(ran.stderr.split())
    assert [path.name for path in (tmp_path / "etc").iterdir()] == ["hostname"]
    assert not (tmp_path / "have.json").exists()


def test_ctrl_c_while_the_tool_is_loaded_is_a_word_and_no_traceback() -> None:
    code = (
        "import os, signal, sys; from sealift.__main__ import main\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder()); main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (130, "interrupted: nothing was begun\n")
