"""`sealift status --watch` through a pipe: it goes on while it is read, and no longer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# --watch over hosts at which nothing changes: a look, and no second one for an hour; or one by one.
_WATCHING = """\
import sys
from pathlib import Path
from sealift.cli import status
from sealift.drift import look
from sealift.drift.look import Look
from sealift.fleet import survey
from sealift.site import inventory
from sealift.site.inventory import Inventory
site = Inventory("prod", Path("prod.py"), ())
status.begin_reading = lambda name: None
inventory.finish_reading = lambda reading: site
Inventory.limited = lambda self, *_: site
survey.targets = lambda site: {}
look.look_at = lambda *_: Look((), None)
status._watch(None, "prod", None, None, every=float(sys.argv[1]))
"""


@pytest.mark.parametrize("every", ["3600", "0.01"])
def test_watching_ends_quietly_once_nobody_reads_it(every: str) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _WATCHING, every]
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as child:
        assert child.stdout and child.stderr
        try:
            assert b"looking at 0 hosts" in child.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):  # it goes on while it is read
                child.wait(0.5)
            child.stdout.close()
            assert child.wait(20) == 0
        finally:
            child.kill()
        assert child.stderr.read() == b""


def test_watching_ends_where_nobody_reads_its_first_line() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", _WATCHING, "3600"]
    with os.fdopen(writing, "wb") as out:
        ended = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, b"")
