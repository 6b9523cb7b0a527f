"""The panels of all dashboards."""

from __future__ import annotations

import re

from sealift.watch.panel import Line
from sealift.watch.queries import BOARDS

PANELS = [panel for board in BOARDS for panel in board.panels]


def test_every_question_has_a_name_of_its_own() -> None:
    names = [name for panel in PANELS for name, _ in panel.questions]
    assert len(set(names)) == len(names) == sum(len(panel.lines) for panel in PANELS)


def test_a_legend_names_labels_that_its_question_keeps() -> None:
    for panel in PANELS:
        for line in panel.lines:
            labels = re.findall(r"\{\{(\w+)\}\}", line.legend)
            kept = {name for by in re.findall(r"by \(([^)]*)\)", line.expression) for name in by.split(", ")}
            assert set(labels) <= kept, panel.id


def test_a_board_is_narrowed_by_what_its_panels_ask_for() -> None:
    for board in BOARDS:
        asked = {name for panel in board.panels for line in panel.lines for name in _variables(line)}
        assert set(board.variables) <= asked, board.name


def _variables(line: Line) -> list[str]:
    return re.findall(r"\$(host|role|client)\b", line.expression)


def test_the_page_asks_about_all_hosts_over_its_own_time() -> None:
    line = Line("{{host}} P95", 'sum by (host) (rate(x{host=~"$host"}[$__rate_interval]))')
    assert line.over(600) == 'sum by (host) (rate(x{host=~".*"}[600s]))'
    assert line.called({"host": "h1"}) == "h1 P95"
    assert line.called({}) == "- P95"
