"""What a site's Prometheus says, as its host prints it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sealift.errors import SealiftError
from sealift.site.inventory import Host
from sealift.watch.prometheus import Series, monitors, parse_answers
from tests.unit.fleet_site import site_settings


def vector(*values: str, **labels: str) -> str:
    return f"ok {json.dumps([{'metric': labels, 'value': [1795967498.583, each]} for each in values])}\n"


VECTOR = vector("1", __name__="up", host="h1")
MATRIX = 'ok [{"metric":{"role":"chat"},"values":[[1795967438,"0.25"],[1795967448,"1.5e+06"]]}]\n'
SCALAR = 'ok [1795967498.615,"+Inf"]\n'
FAILED = "failed query error: bad_data: parse error \n"


def test_each_question_has_its_answer() -> None:
    answers = parse_answers("mon", ("up", "rate", "all", "bad"), VECTOR + MATRIX + SCALAR + FAILED)
    assert answers.host == "mon"
    assert answers.of("up") == (Series({"__name__": "up", "host": "h1"}, ((1795967498.583, 1.0),)),)
    assert answers.of("rate") == (Series({"role": "chat"}, ((1795967438, 0.25), (1795967448, 1.5e6))),)
    assert answers.of("all") == (Series({}, ((1795967498.615, math.inf),)),)
    assert answers.of("bad") == ()
    assert answers.failed == {"bad": "query error: bad_data: parse error"}


def test_no_series_is_an_answer() -> None:
    assert parse_answers("mon", ("none",), "ok []\n").found == {"none": ()}


def test_what_moves_a_terminals_cursor_is_no_label() -> None:
    (series,) = parse_answers("mon", ("up",), vector("1", host="h\x1b[2J\n1")).of("up")
    assert series.labels == {"host": "h?[2J?1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("absent\n", "mon: Prometheus does not run there, expected it to. Run: sealift status"),
        ("", "mon: Prometheus answers 0 of 1 questions, expected all within 64 MB. Ask for less time."),
        (VECTOR * 2, "mon: Prometheus answers 2 of 1 questions"),
        (VECTOR[:-1], "mon: Prometheus answers 0 of 1 questions"),
        ("failed connection refused\n", "mon: Prometheus answers nothing (connection refused), expected"),
        ("ok {\n", "mon: what Prometheus says of up: is not JSON"),
        ('ok {"up": 1}\n', "mon: what Prometheus says of up: is no list of series (all of it)"),
        (vector("one"), "mon: what Prometheus says of up: is no list of series (0.value.1)"),
        (vector("1_0"), "mon: what Prometheus says of up: is no list of series (0.value.1)"),
        (vector("1", host="x" * 1001), "is no list of series (0.metric.host)"),
        (vector(*["1"] * 5001), "is no list of series (all of it)"),
        ('ok [{"metric":{},"value":[NaN,"1"]}]\n', "is not JSON (NaN is no JSON)"),
        ('ok [{"metric":{},"value":[-1,"1"]}]\n', "is no list of series (0.value.0)"),
        ('ok [{"metric":{"a":"1","a":"2"},"value":[1,"1"]}]\n', "a key stands there twice"),
        (f"ok {'[' * 100_000}\n", "is not JSON"),
    ],
)
def test_what_prometheus_would_not_say_is_refused(text: str, said: str) -> None:
    with pytest.raises(SealiftError) as refused:
        parse_answers("mon", ("up",), text)
    assert said in str(refused.value)


def test_only_hosts_of_the_group_monitor_are_asked() -> None:
    settings: Any = site_settings()
    hosts = [Host("h1", frozenset(), settings), Host("mon", frozenset({"monitor"}), settings)]
    assert [host.name for host in monitors("prod", hosts)] == ["mon"]
    with pytest.raises(SealiftError, match=r"prod: no host of group monitor, .* Add a list monitor"):
        monitors("prod", hosts[:1])
