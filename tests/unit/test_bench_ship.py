"""The tables and the plot that bench/ship.py writes."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.ship_page import Run, plot, tables, targets

SIZE = 25_000_000  # bytes: 8 s at 25 Mbit/s


def run(part: str, way: str, hosts: int, seconds: float) -> Run:
    return Run(part, way, hosts, 25, SIZE, seconds, 0.5, 60_000_000, 20_000_000)


RUNS = [
    *(run("curve", "alone", 8, seconds) for seconds in (8.5, 8.0, 20.0)),
    *(run("curve", "chain", 8, seconds) for seconds in (9.0, 8.5, 8.4)),
    run("curve", "alone", 16, 8.0),
    run("curve", "chain", 16, 10.0),
    run("curve", "swarm", 8, 11.0),
    run("star", "chain", 8, 10.0),
    run("star", "scp", 8, 70.0),
    run("star", "star", 8, 30.0),  # our own is no customary one
    run("star", "rsync", 8, 50.0),
    run("dead", "none", 8, 9.0),
    run("dead", "the middle one", 8, 20.0),
]


def test_targets_are_by_medians_and_of_what_was_measured() -> None:
    found = {target.what: (round(target.reached, 3), target.is_met) for target in targets(RUNS)}
    assert found == {
        "a chain of 8, of one host alone": (1.0, True),
        "a chain of 8, of the wire's bound": (1.062, True),
        "a chain of 16, of one host alone": (1.25, False),
        "a chain of 16, of the wire's bound": (1.25, False),
        "the best customary star (rsync) to 8, times the chain": (5.0, False),
        "the middle host of 8 dies: takes longer by": (11.0, False),
        "memory of the control node, all processes": (60.0, True),
        "memory of a host in a chain, all processes": (20.0, True),
    }


def test_the_table_has_a_row_for_each_way() -> None:
    said = tables("a machine", RUNS)
    assert "| a chain of 16, of one host alone | ≤ 1.06 | 1.25 | **missed** |" in said
    row = (
        "| 8 | 25 Mbit/s | 25 MB | `sealift`, a chain | 3 | 8.50 s | 8.40 to 9.00 s | 1.06 | 50% "
        "| 60 MB | 20 MB |"
    )
    assert row in said
    assert "| 16 | 10.00 s | 9.92 s | -1% |" in said


def test_the_plot_is_an_svg_file_with_all_curves() -> None:
    root = ElementTree.fromstring(plot(RUNS))  # noqa: S314  (its own)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"chain", "swarm", "star", "bound"} <= texts
