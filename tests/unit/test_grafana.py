"""The boards for Grafana."""

from __future__ import annotations

import json
from pathlib import Path

from demo.grafana import boards
from sealift.watch.queries import BOARDS

FILES = Path(__file__).parents[2] / "files/grafana"


def test_the_boards_are_those_that_the_panels_make() -> None:
    lying = {path.name: path.read_text() for path in FILES.glob("*.json")}
    assert lying == boards(), "Run: python -m demo.grafana files/grafana"


def test_a_board_asks_every_question_of_its_panels_of_a_prometheus_that_is_chosen() -> None:
    made = boards()
    for board in BOARDS:
        told = json.loads(made[f"{board.name}.json"])
        asked = [target["expr"] for panel in told["panels"] for target in panel["targets"]]
        assert asked == [line.expression for panel in board.panels for line in panel.lines]
        assert {panel["datasource"]["uid"] for panel in told["panels"]} == {"${datasource}"}
        variables = [each["name"] for each in told["templating"]["list"]]
        assert variables == ["datasource", *board.variables]


def test_panels_lie_beside_and_below_each_other() -> None:
    for text in boards().values():
        places = [panel["gridPos"] for panel in json.loads(text)["panels"]]
        taken = {(place["x"], place["y"]) for place in places}
        assert len(taken) == len(places)
        assert all(place["x"] + place["w"] <= 24 for place in places)
