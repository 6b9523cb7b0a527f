"""What a fleet does, as one page that needs nothing but a browser: no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from sealift import svg
from sealift.svg import Axis, Curve, draw, number_axis, spark, time_axis
from sealift.watch import queries
from sealift.watch.figures import Drawn, drawn, rate_s, scale, words
from sealift.watch.now import NOW
from sealift.watch.panel import Panel
from sealift.watch.prometheus import Answers, Question, Window
from sealift.watch.tables import alerts, clients, hosts, objectives, roles

_TEMPLATES = Path(__file__).parents[2] / "templates"
_FLEET = (
    *(queries.REQUESTS, queries.ANSWER, queries.FIRST),
    *(queries.TOKENS, queries.ERRORS, queries.ACTIVE),
)
_HOSTS = (
    *(queries.HOST_REQUESTS, queries.HOST_ANSWER, queries.HOST_TOKENS, queries.HOST_CPU),
    *(queries.HOST_FAILED, queries.HOST_MEMORY, queries.HOST_RUNTIME, queries.HOST_DISK),
    queries.HOST_CERTIFICATE,
)
_ROLES = (
    *(queries.ROLE_REQUESTS, queries.ROLE_ANSWER, queries.ROLE_FIRST, queries.ROLE_TOKENS),
    *(queries.PROBE_ANSWER, queries.PROBE_FIRST, queries.PROBE_SPEED, queries.PROBE_LOAD),
)
_CLIENTS = (queries.CLIENT_REQUESTS, queries.CLIENT_WRITTEN, queries.CLIENT_ANSWER)
_GPUS = (queries.GPU_USE, queries.GPU_MEMORY, queries.GPU_HEAT, queries.GPU_POWER)
_ROLLOUT = (queries.RELEASES, queries.UP)
_PANELS = (*_FLEET, *_HOSTS, *_ROLES, *_CLIENTS, *_GPUS, *_ROLLOUT)


class Chart(NamedTuple):
    """A picture with its title and the unit of its axis.

    + more: lines beyond those that have a name
    """

    title: str
    unit: str
    picture: Markup
    more: int


def questions(over: Window) -> Mapping[str, Question]:
    """All that a page needs to know.

    + over: its time
    """
    since = f"{over.end - over.start}s"
    panels = (
        (name, Question(line.over(rate_s(over)), over)) for panel in _PANELS for name, line in panel.questions
    )
    now = ((name, Question(expression.replace("$since", since))) for name, expression in NOW.items())
    return dict([*panels, *now])


def render(
    site: str, names: Sequence[str], answers: Answers, over: Window, refresh_s: int | None = None
) -> bytes:
    """Render the page, in UTF-8.

    + names: of the hosts, in the inventory's order
    + answers: to `questions`
    + refresh_s: seconds after which a browser asks again, if it is to
    """
    found = {panel.id: drawn(panel, answers, over) for panel in _PANELS}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(words=words, spark=_spark)
    template = environment.from_string((_TEMPLATES / "dashboard.html.j2").read_text())
    firing = alerts(answers, over.end)
    return template.render(
        site=site,
        at=datetime.fromtimestamp(over.end, UTC),
        since=_since(over),
        asked=answers.host,
        refresh_s=refresh_s,
        css=Markup(style()),  # noqa: S704 - ours
        policy=policy(),
        firing=firing,
        fleet=[_chart(found[panel.id]) for panel in _FLEET],
        tiles=_tiles(found, len(names)),
        hosts=hosts(names, found, answers, firing),
        sparks=_axes(found),
        roles=roles(found, answers),
        objectives=objectives(answers),
        role_charts=[_chart(found[panel.id]) for panel in (queries.ROLE_ANSWER, *_PROBED)],
        clients=clients(answers),
        client_charts=[_chart(found[panel.id]) for panel in _CLIENTS],
        gpus=[_chart(found[panel.id]) for panel in _GPUS if found[panel.id].curves],
        rollout=[_chart(found[panel.id]) for panel in _ROLLOUT],
        failed=answers.failed,
    ).encode()


_PROBED = (queries.PROBE_FIRST, queries.PROBE_SPEED)


def style() -> str:
    """The page's own style."""
    return svg.STYLE + (_TEMPLATES / "dashboard.css").read_text()


def policy() -> str:
    """What a browser lets the page do: show itself. Source: Content Security Policy Level 3."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _chart(of: Drawn) -> Chart:
    by, unit = scale(of.panel.unit, max(of.values, default=0))
    curves = [Curve(_named(of, each), tuple((a, b * by) for a, b in each.points)) for each in of.curves]
    picture = draw(curves, _time(of.over), number_axis(each * by for each in of.values), _told(of))
    return Chart(of.panel.title, unit, picture, max(0, len(curves) - svg.COLOURS))


def _named(of: Drawn, curve: Curve) -> str:
    """A line that is alone in its picture is known by the title, and has room for what it is now."""
    alone = len(of.panel.lines) == len(of.curves) == 1 and "{{" not in of.panel.lines[0].legend
    return words(of.now(curve.name), of.panel.unit) if alone else curve.name


def _told(of: Drawn) -> str:
    """A picture in words: where its first lines are now."""
    unit = of.panel.unit
    said = (f"{each.name} {words(of.now(each.name), unit)}" for each in of.curves[: svg.COLOURS])
    return f"{of.panel.title}: {', '.join(said) or 'no figures'}"


def _time(over: Window) -> Axis:
    return time_axis(over.start, over.end)


def _axes(found: Mapping[str, Drawn]) -> Mapping[str, Axis]:
    """One scale for the lines of all hosts, so that they can be compared."""
    return {
        panel.id: Axis(0, max([*found[panel.id].values, 1e-9]) if panel.unit != "ratio" else 1, ())
        for panel in _HOSTS[:4]
    }


def _spark(of: Drawn, name: str, axis: Axis) -> Markup:
    curve = of.of(name)
    known = [value for _, value in curve.points if svg.is_shown(value)]
    if not known:
        return Markup("")
    most = words(max(known), of.panel.unit)
    return spark(curve, _time(of.over), axis, f"{name}: {of.panel.title}, at most {most}")


def _tiles(found: Mapping[str, Drawn], hosts: int) -> list[tuple[str, str]]:
    """Figures to see at once."""

    def now(panel: Panel, name: str) -> str:
        return words(found[panel.id].now(name), panel.unit)

    return [
        ("hosts answer", f"{now(queries.UP, 'hosts')} of {hosts}"),
        ("requests a second", now(queries.REQUESTS, "requests")),
        ("answer, P95", now(queries.ANSWER, "P95")),
        ("first byte, P95", now(queries.FIRST, "P95")),
        ("tokens written a second", now(queries.TOKENS, "written")),
        ("of the requests failed", now(queries.ERRORS, "failed")),
    ]


def _since(over: Window) -> str:
    hours, minutes = divmod(round((over.end - over.start) / 60), 60)
    if hours >= 48:
        return f"{timedelta(hours=hours).days} days"
    return f"{hours} h {minutes} min" if hours and minutes else f"{hours} h" if hours else f"{minutes} min"
