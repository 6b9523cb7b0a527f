"""A chain as the control node sees it through: who is in it, and what it waits for."""

from __future__ import annotations

import queue
import resource
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sealift.ship import chain_round, chain_watch, over_chain
from sealift.ship.chain_round import _all_listen, _let_open, _listings, _watch
from sealift.ship.chain_session import Said, Session
from sealift.ship.chain_watch import Outcome, Watched
from sealift.ship.types import Order, Shipped
from sealift.ssh import Gathered, Ssh
from tests.unit.test_chain import LARGE, have, made


def _sessions(*hosts: str) -> Mapping[str, Session]:
    made = SimpleNamespace(why_it_ended=lambda: "gone", cut=lambda: None, say=lambda _: None)
    return dict.fromkeys(hosts, cast("Session", made))


def test_a_host_that_ends_before_another_is_ready_does_not_keep_that_one_out() -> None:
    said: Said = queue.SimpleQueue()

    def say(host: str, *lines: str | None) -> None:
        for line in lines:
            said.put((host, line))

    say("h1", "free 5", "ready", None)
    later = threading.Timer(0.2, say, ("h2", "free 5", "ready"))
    later.start()
    haves, lost = _listings(_sessions("h1", "h2"), said)
    later.join()
    assert (list(haves), lost) == (["h2"], {"h1": "gone"})


class _Talk:
    """A queue in which a host says the same again and again, behind what others said."""

    def __init__(self, host: str, line: str, *first: tuple[str, str]) -> None:
        self._first, self._again = list(first), (host, line)
        self._end = time.monotonic() + 5

    def get(self, **_: float) -> tuple[str, str]:
        assert time.monotonic() < self._end
        return self._first.pop(0) if self._first else self._again


def test_one_that_talks_without_end_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_round, "_READY_S", 0.5)
    monkeypatch.setattr(chain_round, "_LISTENING_S", 0.5)
    talk = _Talk("h2", "blob", ("h1", "free 5"), ("h1", "ready"))
    haves, lost = _listings(_sessions("h1", "h2"), cast("Said", talk))
    assert (list(haves), list(lost)) == (["h1"], ["h2"])
    watched = Watched(made(h1=have(), h2=have(), h3=have(), h4=have()), began=time.monotonic())
    talk = _Talk("h3", "at 0", ("h2", "listening"), ("h4", "listening"))
    assert not _all_listen(watched.parts, watched, cast("Said", talk), _sessions("h1", "h2", "h3", "h4"))
    fault = watched.fault(time.monotonic())
    assert fault is not None and fault.gone.keys() == {"h3"}


@pytest.fixture
def watched() -> Watched:
    return Watched(made(h1=have(), h2=have(), h3=have()), began=0)


def test_a_first_host_that_the_control_node_cannot_send_to_is_not_waited_for(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_watch, "_ENSUES_S", -1)
    monkeypatch.setattr(chain_watch, "SILENT_S", 1e9)
    feeder = cast("Any", SimpleNamespace(cut=True))
    said: Said = queue.SimpleQueue()
    said.put(("h1", "here"))
    fault = _watch(watched, said, _sessions("h1", "h2", "h3"), lambda _: None, feeder)
    assert fault is not None
    assert (fault.suspects, fault.why) == (("h1",), "h1: its connection from the control node was cut")


def test_a_first_host_that_has_all_needs_no_connection(watched: Watched) -> None:
    watched.say("h1", f"at {watched.parts[0].bytes}", 1)
    watched.cut(1)
    assert watched.fault(4) is None


@pytest.mark.parametrize(("deaf", "gone"), [(("h3", "h5"), {"h3", "h5"}), (("h3", "h5", "h7"), {"h3"})])
def test_some_that_do_not_listen_are_told_at_once_but_many_are_not(
    deaf: tuple[str, ...], gone: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_round, "_LISTENING_S", 0.3)
    hosts = [f"h{number}" for number in range(1, 10)]
    watched = Watched(made(**{host: have() for host in hosts}), began=time.monotonic())
    said: Said = queue.SimpleQueue()
    for host in hosts[1:]:
        if host not in deaf:
            said.put((host, "listening"))
    assert not _all_listen(watched.parts, watched, said, _sessions(*hosts))
    fault = watched.fault(time.monotonic())
    assert fault is not None and fault.gone.keys() == gone
    assert fault.gone["h3"] == "h3: does not listen within 0 s"


@pytest.fixture
def few_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_fleet_may_have_more_connections_than_a_shell_lets_files_be_open(few_files: None) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted, found in ((300, 300), (200, 300), (most + 1, most)):
        _let_open(wanted)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (found, most)


def test_a_host_whose_address_is_none_is_told_though_it_is_shipped_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def straight(orders: list[Order], *_: object) -> Gathered[Shipped]:
        return Gathered({order.host: Shipped(1, 5) for order in orders}, {})

    def none(*_: object, **__: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(Ssh, "run", lambda *_: f"free {1 << 40}\n")
    monkeypatch.setattr(over_chain, "over_ssh", straight)
    monkeypatch.setattr(over_chain, "run_chain", lambda *_: Outcome({}))
    monkeypatch.setattr(over_chain.socket, "getaddrinfo", none)  # type: ignore[attr-defined]
    orders = [Order(Ssh(host, Path("ssh_config")), (LARGE,), 4711, "typo") for host in ("h1", "h2", "h3")]
    done = over_chain.over_chain(orders, Path, lambda *_: None).results
    told = {each.note for each in done.values()}
    assert told == {"typo: Name or service not known, expected an address."}
