"""What is told of work that takes longer than a moment, where there is a terminal and where there is none."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sealift.cli import progress
from sealift.cli.progress import shown
from sealift.progress import ASKING
from tests.unit import media_bundle


def test_off_a_terminal_a_long_task_is_named_once_with_its_bytes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_MOMENT", 0.05)
    with shown() as report:
        report("reading", 0, 588_600_000)
        report("a short one", 100, 100)
        report(ASKING, 0, 0)
        time.sleep(0.1)
        for done in (1, 2, 588_600_000):
            report("reading", done, 588_600_000)
    assert capsys.readouterr() == ("", "reading, 588.6 MB\n")


def test_where_standard_error_is_closed_standard_output_stays_clean() -> None:
    told = "from sealift.cli.progress import shown\nwith shown() as report: report('waiting', 0, 0)"
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", told]
    assert subprocess.run(closed, stdout=subprocess.PIPE, check=True).stdout == b""


def test_a_foreign_name_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as report:
        report("waiting for a\n\x1b[2Jb", 0, 0)
    assert capsys.readouterr().err == "waiting for a??[2Jb\n"


def test_a_name_with_brackets_is_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, by what rich goes by
    monkeypatch.setenv("COLUMNS", "200")
    with shown() as report:
        report("hashing a[/b]c", 0, 0)
    assert "hashing a[/b]c" in capsys.readouterr().err


def test_who_waits_for_another_process_says_so_at_once(tmp_path: Path) -> None:
    (tmp_path / "depot/bundles").mkdir(parents=True)
    holder = os.open(tmp_path / "depot", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    command = ("gc", "--depot", str(tmp_path / "depot"), "--json")
    code = "from sealift.__main__ import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    said, _, _ = select.select([child.stderr], [], [], 30)
    os.close(holder)
    out, err = child.communicate()
    assert said, "nothing was said while the depot was held"
    assert err == "waiting for another process in the depot\n"
    assert json.loads(out)["bytes"] == 0


def test_hashing_what_media_were_put_together_to_is_told(tmp_path: Path) -> None:
    site = media_bundle.site(tmp_path)
    site.write(tmp_path / "media")
    told: dict[str, list[tuple[int, int]]] = {}
    site.read(
        tmp_path / "out", tmp_path / "media", progress=lambda what, *at: told.setdefault(what, []).append(at)
    )
    size = sum(path.stat().st_size for path in site.bundle.rglob("*") if path.is_file())
    assert told["hashing what was put together"][-1] == (size, size)
