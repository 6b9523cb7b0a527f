"""The page that shows what a fleet does, out of what Prometheus answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser

import pytest

from sealift.watch.figures import by_label, drawn, window, words
from sealift.watch.page import questions, render, style
from sealift.watch.prometheus import Answers, Series, Window
from sealift.watch.queries import BOARDS
from sealift.watch.tables import alerts, clients, hosts, objectives, roles
from tests.fuzz.at_dashboard import answer, shown

AT = 1795869000
OVER = window(AT, 3600)
NAN = float("nan")


def now(value: float, **labels: str) -> Series:
    return Series(labels, ((AT, value),))


def answers(found: Mapping[str, tuple[Series, ...]], **failed: str) -> Answers:
    return Answers("mon", found, failed)


GOOD = {
    "targets": tuple(now(1, host=host, job=job) for host in ("h1", "h2") for job in ("node", "gateway")),
    "roles": (now(1, host="h1", role="chat"), now(1, host="h2", role="chat")),
    "release": (now(1, host="h1", release="demo:1"),),
}


def page(found: Mapping[str, tuple[Series, ...]], *names: str) -> str:
    return render("prod", names or ("h1", "h2"), answers(found), OVER).decode()


def states(found: Mapping[str, tuple[Series, ...]]) -> dict[str, tuple[str, str]]:
    heard = answers(found)
    panels = {panel.id: drawn(panel, heard, OVER) for board in BOARDS for panel in board.panels}
    return {row.name: (row.state, row.tone) for row in hosts(("h1", "h2"), panels, heard, alerts(heard, AT))}


def test_the_last_of_a_pages_points_is_now() -> None:
    assert window(AT, 3600) == Window(AT - 3600, AT, 30)
    assert window(AT, 601) == Window(AT - 600, AT, 15)
    month = window(AT, 30 * 86400)
    assert (month.end, month.step_s, (month.end - month.start) % month.step_s) == (AT, 21600, 0)


def test_no_question_is_left_with_a_variable() -> None:
    asked = questions(OVER)
    assert [name for name, each in asked.items() if "$" in each.expression] == []
    assert "[3600s]" in asked["written"].expression
    assert asked["answer.1"].window == OVER and "[300s]" in asked["answer.1"].expression


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.43, "s", "430 ms"),
        (2.44, "s", "2.4 s"),
        (12.2, "s", "12 s"),
        (0.0021, "ratio", "0.2 %"),
        (0.00021, "ratio", "0.021 %"),
        (6.5 * 2**30, "bytes", "6.5 GiB"),
        (300 * 2**20, "bytes", "300 MiB"),
        (0.0, "requests/s", "0"),
        (1234.5, "tokens/s", "1,234"),
        (71.2, "days", "71 d"),
        (NAN, "s", "-"),
        (float("inf"), "ratio", "-"),
        (None, "ratio", "-"),
        (1e308, "bytes", "-"),
        (-5e-324, "ratio", "0 %"),
    ],
)
def test_a_cell_has_few_digits_and_a_unit(value: float | None, unit: str, said: str) -> None:
    assert words(value, unit) == said  # type: ignore[arg-type]


def test_a_series_without_the_label_or_a_number_is_left_out() -> None:
    found = (now(1, host="h1"), now(2), now(NAN, host="h2"))
    assert by_label(found, "host") == {("h1",): 1}


def test_a_hosts_state_is_the_worst_that_is_known() -> None:
    alert = now(1, alertname="DiskLow", severity="warning", host="h2")
    silent = (now(0, host="h2", job="node"), now(1, host="h2", job="gateway"))
    assert states(GOOD) == {"h1": ("works", "good"), "h2": ("works", "good")}
    assert states({})["h1"] == ("not watched", "none")
    assert states({**GOOD, "firing": (alert,)})["h2"] == ("alert", "warn")
    assert states({**GOOD, "slow": (now(1, host="h2", role="chat"),)})["h2"] == ("chat slow", "warn")
    assert states({**GOOD, "roles": (now(0, host="h2", role="chat"),)})["h2"] == ("chat down", "bad")
    assert states({**GOOD, "targets": silent})["h2"] == ("node silent", "bad")
    assert states({**GOOD, "drained": (now(1, of="h2"),)})["h2"] == ("works, drained", "good")
    assert states({**GOOD, "differs": (now(3, of="h2"),)})["h2"] == ("works, differs by 3", "good")


def test_alerts_stand_with_the_critical_first_and_since_when() -> None:
    late = {"alertname": "RoleDegraded", "severity": "warning", "host": "h1", "role": "chat", "job": "node"}
    down = {"alertname": "HostDown", "severity": "critical", "host": "h2"}
    found = {
        "firing": (now(1, alertstate="firing", **late), now(1, alertstate="firing", **down)),
        "firing-since": (now(AT - 300, **late), now(AT - 3 * 3600, **down)),
    }
    assert [tuple(each) for each in alerts(answers(found), AT)] == [
        ("HostDown", "bad", "h2", "", "3 h 0 min"),
        ("RoleDegraded", "warn", "h1", "role chat", "5 min"),
    ]


def test_an_objective_that_was_broken_too_often_is_overspent() -> None:
    found = {
        "goals": (
            now(3, role="chat", objective="answer"),
            now(5, role="chat", objective="tokens_per_second"),
        ),
        "kept": (
            now(0.9995, role="chat", objective="answer"),
            now(0.9, role="chat", objective="tokens_per_second"),
        ),
        "left": (
            now(0.95, role="chat", objective="answer"),
            now(-9, role="chat", objective="tokens_per_second"),
        ),
    }
    assert [tuple(each) for each in objectives(answers(found))] == [
        ("chat", "answer", "at most 3 s", "99.95 %", "95 %", 95, "good"),
        ("chat", "tokens per second", "at least 5", "90.00 %", "overspent", 0, "bad"),
    ]


def test_clients_stand_with_the_one_that_wrote_most_first() -> None:
    found = {
        "answers": (now(10.2, client="a"), now(1200, client="b")),
        "written": (now(100, client="a"), now(1_000_000, client="b")),
        "client-p95": (now(NAN, client="a"), now(2.5, client="b")),
    }
    assert clients(answers(found)) == (
        ("b", "1,200", "0", "1,000,000", "2.5 s"),
        ("a", "10", "0", "100", "-"),
    )
    assert roles({}, answers({})) == ()


class _Outside(HTMLParser):
    """What a page would have a browser fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}={value}" for name, value in attrs if name in ("src", "href", "action")]
        self.found += [tag] * (tag in ("script", "iframe", "object", "form", "img"))
        self.found += [name for name, _ in attrs if name.startswith("on") or name == "style"]


def test_a_page_fetches_and_runs_nothing() -> None:
    reader = _Outside()
    reader.feed(page(GOOD))
    assert reader.found == ["link href=data:,"]


def test_foreign_text_stays_text() -> None:
    hostile = '</style><script>alert(1)</script>"><img src=x>'
    labels = ("host", "role", "client", "release", "alertname", "severity", "objective", "of", "job")
    series = (now(1, **dict.fromkeys(labels, hostile)),)
    every = dict.fromkeys(questions(OVER), series)
    told = render(hostile, (hostile,), answers(every, broken=hostile), OVER).decode()
    assert "<script" not in told and "<img" not in told
    assert told.count("</style>") == 1
    assert told.count("&lt;script&gt;") > 20


def _light(colour: str) -> float:
    """Its relative luminance, as WCAG 2 has it."""
    digits = colour.lstrip("#") if len(colour) == 7 else "".join(2 * each for each in colour.lstrip("#"))
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_lines_stand_out_from_the_page_by_day_and_night() -> None:
    colours = [re.findall(rf"--{name}: (#\w+);", style()) for name in ("c0", "c1", "c2", "c3", "c4", "c5")]
    for number, behind in enumerate(re.findall(r"--card: (#\w+);", style())):
        for each in colours:
            dark, light = sorted((_light(each[number]), _light(behind)))
            assert (light + 0.05) / (dark + 0.05) >= 3, each


EXTREME = (
    "NaN",
    "+Inf",
    "-Inf",
    "5e-324",
    "-5e-324",
    "1e308",
    "-1e308",
    "1e15",
    "-1e15",
    "1e16",
    "1e-9",
    "-0",
)


@pytest.mark.parametrize("value", EXTREME)
def test_no_figure_that_a_host_makes_up_takes_the_page_away(value: str) -> None:
    for other in (value, "1", "-1e308", "5e-324"):
        told = shown(answer(other, "1", value)).decode()
        assert '<th scope="row">FUZZ</th>' in told
        assert max(map(len, re.findall(r">([^<>]*)<", told.partition("<body>")[2]))) < 300


@pytest.mark.parametrize("since", [NAN, float("inf"), -float("inf"), 1e308, -1e15, 5e-324, 0.0])
def test_an_alert_that_began_at_no_time_has_none(since: float) -> None:
    labels = {"alertname": "HostDown", "severity": "critical", "host": "h1"}
    found = {"firing": (now(1, alertstate="firing", **labels),), "firing-since": (now(since, **labels),)}
    assert [each.lasts for each in alerts(answers(found), AT)] == ["-"]


def test_without_any_figures_the_page_says_so() -> None:
    told = page({})
    assert told.count("no figures") >= 8
    assert re.findall(r"not watched", told) == ["not watched"] * 2
    assert "<h2>GPUs</h2>" not in told and "<h2>Alerts</h2>" not in told


def test_a_question_that_failed_is_named() -> None:
    told = render("prod", ("h1",), answers({}, **{"answer.0": "query timed out"}), OVER).decode()
    assert "Not answered: answer.0: query timed out" in told


def test_only_a_page_that_is_served_asks_to_be_looked_at_again() -> None:
    assert 'http-equiv="refresh"' not in page(GOOD)
    assert '<meta http-equiv="refresh" content="60">' in render("p", (), answers(GOOD), OVER, 60).decode()
