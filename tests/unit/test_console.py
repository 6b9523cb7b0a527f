"""Foreign text is printed as it is: rich reads no markup and no emoji in it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from sealift.cli.console import complain, say, show, working
from sealift.cli.progress import shown

CLI = Path(__file__).parents[2] / "sealift/cli"
FOREIGN = "root:x:0 [bold]a[/bold] [/b] :smile: 0:0"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal, by what rich goes by."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")


def test_lines_and_errors(capfd: pytest.CaptureFixture[str]) -> None:
    say(FOREIGN)
    complain(FOREIGN)
    out, err = capfd.readouterr()
    assert FOREIGN in out and FOREIGN in err


def test_tables(capfd: pytest.CaptureFixture[str]) -> None:
    table = Table("what")
    table.add_row(FOREIGN)
    show(table)
    assert FOREIGN in capfd.readouterr().out


def test_tables_that_nobody_looks_at_are_whole(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("COLUMNS", "40")
    table = Table("host", "said")
    table.add_row("llm1", "a sentence of many words " * 8)
    table.add_row("llm2", "x" * 300)
    show(table)
    out = capfd.readouterr().out
    assert "a sentence of many words " * 7 in out and "x" * 300 in out


def test_what_is_being_worked_on_and_progress(capfd: pytest.CaptureFixture[str]) -> None:
    with working(FOREIGN) as work:
        work.now(f"then {FOREIGN}")
    with shown() as report:
        report(FOREIGN, 0, 0)
    err = capfd.readouterr().err
    assert err.count(FOREIGN) >= 2


def _made_elsewhere(path: Path) -> list[str]:
    """Calls that would make a console, or print past ours."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = [call.id for call in calls if isinstance(call, ast.Name)]
    attributes = [call.attr for call in calls if isinstance(call, ast.Attribute)]
    return [name for name in names if name in ("Console", "escape")] + [
        name for name in attributes if name in ("status", "from_markup", "render_str")
    ]


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_consoles_are_made_in_one_place(path: Path) -> None:
    if path.name == "console.py":
        assert _made_elsewhere(path) == ["Console", "status"]
    else:
        assert "import Console" not in path.read_text() or path.name == "progress.py"
        assert [call for call in _made_elsewhere(path) if path.name != "lab.py"] == []


# A command that prints more than once, and ends as it would have.
_SAYING = """\
import sys
from rich.table import Table
from sealift.cli.console import say, show
sys.stdin.read()
show(Table("what"))
say("a line")
show(Table("what"))
sys.exit(7)
"""


def test_a_command_that_nobody_reads_any_more_ends_with_its_own_exit_code() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _SAYING], stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin and child.stdout and child.stderr
        child.stdout.close()
        child.stdin.close()
        assert child.stderr.read() == b""
    assert child.returncode == 7


def test_models_is_no_error_where_only_its_first_line_is_read() -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does, at once
    command = [sys.executable, "-m", "sealift", "models"]
    with os.fdopen(writing, "wb") as out:
        ended = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


# A rollout's view, told of the same event again and again.
_TELLING = """\
import sys
from sealift.cli.rollout_view import View
from sealift.rollout.events import Closed
view = View(as_json={as_json})
sys.stdin.read()
for _ in range(3):
    view.tell(Closed(at=0.0, outcome="done", sentence=""))
print("went on", file=sys.stderr)
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_a_rollout_that_nobody_reads_any_more_goes_on(as_json: bool) -> None:
    command = [sys.executable, "-c", _TELLING.format(as_json=as_json)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdin and child.stdout and child.stderr
        child.stdout.close()
        child.stdin.close()
        assert child.stderr.read() == "went on\n"
    assert child.returncode == 0


def test_a_rollout_whose_errors_nobody_reads_any_more_goes_on_and_tells_its_events() -> None:
    told = "view.tell(Closed(at=0.0"
    telling = (
        _TELLING.format(as_json=True).replace(told, f"view._line('a line'); {told}").partition("print")[0]
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", telling], stdin=pipe, stdout=pipe, stderr=pipe) as child:
        assert child.stdin and child.stdout and child.stderr
        child.stderr.close()
        child.stdin.close()
        assert len(child.stdout.readlines()) == 3
    assert child.returncode == 0
