"""Streams of ten minutes through a front door and a gateway, by the real Envoy, while both are changed."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sealift.services import HOSTS
from tests.peers.fleet import front_door
from tests.peers.gateway import ROLE

_MINUTES = 10
_PARTS = _MINUTES * 60 * 10  # a tenth of a second apart


@pytest.mark.exhaustive
def test_streams_of_ten_minutes_end_whole_though_their_hosts_are_drained_and_the_front_door_changes(
    envoy_program: Path, tmp_path: Path
) -> None:
    with (
        front_door(envoy_program, tmp_path, {"h1": (ROLE,), "h2": (ROLE,)}) as door,
        ThreadPoolExecutor(4) as pool,
    ):
        ask: dict[str, Any] = {"json": {"model": ROLE}, "headers": {"x-parts": str(_PARTS)}}
        began = time.monotonic()
        streams = [pool.submit(door.asked.ask, "POST", "/api/chat", **ask) for _ in range(4)]
        changes = 0
        while time.monotonic() - began < _MINUTES * 60 - 30:
            host = f"h{1 + changes % 2}"
            door.change(HOSTS, **{host: {"drained": True}})
            time.sleep(10)
            door.change(HOSTS, **{host: {"drained": False}})
            door.renew()
            assert door.asked.ask("POST", "/api/chat", json={"model": ROLE}).status_code == 200
            changes += 1
            time.sleep(10)
        for stream in streams:
            lines = [json.loads(line) for line in stream.result().text.splitlines()]
            assert (len(lines), lines[-1]) == (_PARTS, {"done": True})
    assert time.monotonic() - began >= _MINUTES * 60 and changes >= 10
    assert min(len(host.calls) for host in door.hosts.values()) > 0
