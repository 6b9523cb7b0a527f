"""A connection whose host is silent ends; one whose host answers, however slowly, does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import gevent
import pytest

from sealift.operations import connection


class _Transport:
    """Stands in for paramiko's: answers so many requests, each after some seconds, and then none."""

    def __init__(self, answers: int, after_s: float) -> None:
        self.left, self.after_s, self.active = answers, after_s, True

    def is_active(self) -> bool:
        return self.active and self.left >= 0

    def global_request(self, kind: str) -> None:
        assert kind == "keepalive@openssh.com"
        self.left -= 1
        gevent.sleep(self.after_s if self.left >= 0 else 3600)

    def close(self) -> None:
        self.active = False


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_EVERY_S", 0.02)


def _asked(transport: _Transport) -> None:
    host = SimpleNamespace(connector=SimpleNamespace(client=SimpleNamespace(get_transport=lambda: transport)))
    connection.end_when_silent(cast(Any, host))
    gevent.sleep(0.5)


def test_a_host_that_falls_silent_is_given_up() -> None:
    transport = _Transport(answers=2, after_s=0)
    _asked(transport)
    assert not transport.active


def test_a_slow_answer_is_one() -> None:
    transport = _Transport(answers=1000, after_s=0.05)  # longer than one interval, shorter than four
    _asked(transport)
    assert transport.active and 1 < 1000 - transport.left < 20


def test_what_is_no_connection_by_ssh_is_left_alone() -> None:
    connection.end_when_silent(cast(Any, SimpleNamespace(connector=SimpleNamespace())))
