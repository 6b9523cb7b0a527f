"""The page of a fleet: a real Prometheus is asked, and a real browser shows it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.clients.kept_usage import parse_kept
from sealift.clients.kept_usage import questions as kept_questions
from sealift.errors import SealiftError
from sealift.ssh import Ssh
from sealift.watch.figures import by_label, window
from sealift.watch.page import policy, questions, render
from sealift.watch.prometheus import Answers, Question, Window, ask_one
from sealift.watch.queries import BOARDS
from sealift.watch.server import ADDRESS, server
from tests.browser import Browser, browsing
from tests.peers.prometheus import serving
from tests.peers.recorded import END, SMALL, blocks
from tests.watch_tools import program

OVER = window(END, 2 * 3600)
MON = Ssh("mon", Path("none"))
HOSTILE = '<img src="http://192.0.2.1/x"><script src="http://192.0.2.1/y"></script>'
# Heads of columns that are one word and stand on more than one line.
_BROKEN = """
return [...document.querySelectorAll("th")].filter(th => {
  const range = document.createRange();
  range.selectNodeContents(th);
  return /^\\w+$/.test(th.textContent) && range.getClientRects().length > 1;
}).map(th => th.textContent);
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One that has recorded two hours of three hosts."""
    folder = tmp_path_factory.mktemp("prometheus")
    promtool = program("prometheus", "promtool", folder)
    program("prometheus", "prometheus", folder)
    data = blocks(promtool, SMALL, folder)
    with serving(folder, folder, data=data) as path, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{path}:{os.environ['PATH']}")
        yield


@pytest.fixture(scope="module")
def answers(prometheus: None) -> Answers:
    return ask_one(MON, questions(OVER), END)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


def test_every_panel_has_figures_of_a_fleet_that_works(prometheus: None) -> None:
    panels = [panel for board in BOARDS for panel in board.panels]
    asked = {name: Question(line.over(300), OVER) for panel in panels for name, line in panel.questions}
    heard = ask_one(MON, asked, END)
    assert heard.failed == {}
    silent = {panel.id for panel in panels for name, _ in panel.questions if not heard.of(name)}
    assert silent <= {panel.id for panel in panels if panel.empty}


def test_a_question_that_is_wrong_takes_no_other_with_it(prometheus: None) -> None:
    asked = {"up": Question('sum(up{job="node"})'), "bad": Question("sum("), "minus": Question("-1")}
    heard = ask_one(MON, asked, END)
    assert {name: series[0].last for name, series in heard.found.items()} == {"up": 3, "minus": -1}
    assert "parse error" in heard.failed["bad"]


def test_a_range_that_prometheus_refuses_is_said_in_its_own_words(prometheus: None) -> None:
    with pytest.raises(
        SealiftError, match=r"mon: Prometheus answers nothing \(.*exceeded maximum resolution"
    ):
        ask_one(MON, {"up": Question("up", Window(0, END, 1))}, END)


@pytest.mark.parametrize("hours", [1, 3], ids=["a part", "from the beginning"])
def test_usage_is_what_the_counters_grew_by(prometheus: None, hours: int) -> None:
    start = END - hours * 3600
    kept = parse_kept(ask_one(MON, kept_questions(SMALL.hosts, (start, END), "client"), END), "client")
    counted = {"now": Question("sum by (client) (envoy_usage_tokens_out)")}
    now, before = (by_label(ask_one(MON, counted, at).of("now"), "client") for at in (END, start))
    assert kept.used.keys() == {"chatbot", "search", "minutes"}
    for client, used in kept.used.items():
        assert used.tokens_out == pytest.approx(now[client,] - before.get((client,), 0), rel=0.02)
    begins = max(start, END - 2 * 3600)
    assert all(abs(begin.timestamp() - begins) <= 60 for begin in kept.begins.values())
    assert kept.begins.keys() == set(SMALL.hosts)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_a_browser_shows_the_page_without_a_complaint(
    browser: Browser, answers: Answers, tmp_path: Path, width: int, dark: bool
) -> None:
    long = replace(answers, failed={"x" * 300: "y" * 300})
    (tmp_path / "page.html").write_bytes(render("z" * 300, (*SMALL.hosts, HOSTILE), long, OVER))
    address = f"file://{tmp_path / 'page.html'}"
    browser.look(address, width, dark=dark)
    assert browser.complaints() == []
    assert browser.asked() == [address]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return document.querySelectorAll('img, script').length") == 0
    assert browser.run(_BROKEN) == []
    texts = browser.contrasts()
    assert len(texts) > 200
    assert [(ratio, text) for ratio, text in texts if ratio < 4.5] == []
    behind = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (behind == "rgb(17, 21, 27)") is dark


def test_a_browser_gets_the_page_from_this_machine(browser: Browser, answers: Answers) -> None:
    with server(lambda: render("lab", SMALL.hosts, answers, OVER, 60), 0, policy(), 60) as serving:
        threading.Thread(target=serving.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://{ADDRESS}:{serving.server_address[1]}/"
        browser.complaints(), browser.asked()
        browser.look(address, 1280)
        assert browser.run("return document.title") == "lab: no alert"
        assert browser.complaints() == []
        assert browser.asked() == [address]
        assert browser.run("return getComputedStyle(document.querySelector('.tiles')).display") == "grid"
        serving.shutdown()
