"""How fast the control node sends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.ship.pace import Pace, send_file, total_pace
from sealift.ship.types import Order
from sealift.ssh import Ssh


def test_what_goes_at_a_rate_takes_no_less_than_its_time(tmp_path: Path) -> None:
    content = os.urandom(200_000)
    (tmp_path / "blob").write_bytes(content)
    pipe = os.memfd_create("pipe")
    began = time.monotonic()
    steps = list(send_file(pipe, tmp_path / "blob", 50_000, 200_000, (Pace(1_000_000), Pace(400_000))))
    assert time.monotonic() - began >= 150_000 / 400_000
    assert (sum(steps), max(steps)) == (150_000, 50_000)
    assert os.pread(pipe, 200_000, 0) == content[50_000:]
    os.close(pipe)


def test_without_a_rate_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    Pace().took(1 << 40)


def test_a_file_that_is_too_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"12345")
    pipe = os.memfd_create("pipe")
    with pytest.raises(SealiftError, match=r"blob: has 5 bytes, expected 9\. Import the bundle again\."):
        list(send_file(pipe, tmp_path / "blob", 0, 9, ()))
    os.close(pipe)


def test_the_lowest_total_of_all_hosts_holds() -> None:
    orders = [Order(Ssh("h1", Path("c")), (), rate_total=rate) for rate in (0, 700, 900)]
    assert (total_pace(orders).rate, total_pace(orders[:1]).rate) == (700, 0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match=r"blob: No such file or directory\. Import the bundle again\."):
        list(send_file(0, tmp_path / "blob", 0, 9, ()))
