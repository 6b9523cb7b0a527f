"""How a rollout is shown: a table that changes on a terminal, elsewhere lines, events for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.filesize import decimal
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sealift.cli.console import console
from sealift.cli.waiting import counted
from sealift.errors import one_line
from sealift.fleet.wave import Watch
from sealift.progress import Progress
from sealift.rollout.events import Began, Closed, Ended, Event, Judged, Opened, Resumed
from sealift.rollout.steps import Shown

_MOST = 6  # names of hosts in a line
_DOING = {
    "ship": "shipping",
    "drain": "draining",
    "arm": "arming",
    "apply": "applying",
    "verify": "verifying",
    "undrain": "undraining",
    "soak": "soaking",
    "confirm": "confirming",
    "leave": "draining",
    "back": "going back",
    "return": "undraining",
}


class View:
    """Tells of a rollout."""

    def __init__(self, as_json: bool) -> None:
        """+ as_json: each event as a line of JSON, and nothing else."""
        self._as_json = as_json
        self._out, self._errors = console(lasting=True), console(errors=True, lasting=True)
        self._live: Live | None = None
        self._opened: Opened | None = None
        self._states: dict[int, str] = {}
        self._now = ""
        self._at = ""
        self._spinner = Spinner("dots")

    @contextmanager
    def shown(self) -> Iterator[Shown]:
        """While a rollout lasts."""
        if self._as_json or not self._out.is_terminal:
            yield Shown(self._shipping, self._deploying, self._verifying, self._waiting)
            return
        with Live(get_renderable=self._picture, console=self._out, refresh_per_second=4) as self._live:
            yield Shown(self._shipping, self._deploying, self._verifying, self._waiting)
            self._now = self._at = ""
            self._live.refresh()
        self._live = None

    def tell(self, event: Event) -> None:
        """Take an event as it happens."""
        if self._as_json:
            self._out.out(event.model_dump_json())
            return
        if isinstance(event, Opened):
            self._opened = event
        self._note(event)
        for line in lines(event, self._opened):
            self._out.print(Text(one_line(line), style=_style(event)), soft_wrap=True)

    def remember(self, events: list[Event]) -> None:
        """Take what happened before this process, without a word."""
        for event in events:
            if isinstance(event, Opened):
                self._opened = event
            self._note(event)

    def _note(self, event: Event) -> None:
        self._now = ""
        if isinstance(event, Began):
            self._at = _DOING[event.phase]
            if event.phase not in ("ship", "return"):
                self._states[event.wave] = self._at
        elif isinstance(event, Judged):
            self._states[event.wave] = "passed" if event.passed else "failed"
        elif isinstance(event, Ended) and event.phase in ("confirm", "back"):
            self._states[event.wave] = {"confirm": "done", "back": "went back"}[event.phase]

    def _picture(self) -> Group:
        table = Table("wave", "hosts", "")
        for number, hosts in enumerate(self._opened.waves if self._opened else ()):
            table.add_row(_name(number, self._opened), named(hosts), self._states.get(number, "waits"))
        parts: list[Table | Spinner] = [table] if self._opened else []
        if self._at:
            now = f"{self._at}: {self._now}" if self._now else self._at
            self._spinner.update(text=Text(one_line(now)[: self._out.width - 4]))
            parts.append(self._spinner)
        return Group(*parts)

    def _set(self, now: str) -> None:
        self._now = now

    def _line(self, line: str) -> None:
        (self._errors if self._as_json else self._out).print(Text(one_line(line)), soft_wrap=self._as_json)

    @contextmanager
    def _shipping(self) -> Iterator[Progress]:
        yield lambda _, done, total: self._set(f"{decimal(done)} of {decimal(total)}")

    @contextmanager
    def _deploying(self) -> Iterator[Watch]:
        yield Watch(at=self._set, tell=self._line)

    @contextmanager
    def _verifying(self) -> Iterator[Progress]:
        yield lambda host, done, _: self._set(f"{host} {done} %")

    @contextmanager
    def _waiting(self, what: str) -> Iterator[Callable[[str], None]]:
        self._set(what)
        yield self._set


def lines(event: Event, opened: Opened | None) -> Iterator[str]:
    """What people are told of an event."""
    if isinstance(event, Opened):
        yield from _opened(event)
    elif isinstance(event, Ended):
        name = "shipping" if event.phase == "ship" else f"  {_DOING[event.phase]}"
        yield f"{name:<14} {event.seconds:.1f} s  {event.said}".rstrip()
        yield from (f"    {host}: {why}" for host, why in event.failed.items())
    elif isinstance(event, Began) and event.phase == "drain":
        yield f"wave {_name(event.wave, opened)}: {named(event.hosts)}"
    elif isinstance(event, Judged):
        yield f"  gate {'passed' if event.passed else 'failed'}"
    elif isinstance(event, Resumed):
        again = ": a host of its wave went back by itself, so the wave begins anew" if event.again else ""
        yield f"{'abandoned' if event.abandon else 'resumed'} by {event.who}{again}"
    elif isinstance(event, Closed):
        yield "done" if event.outcome == "done" else f"failed: {event.sentence}"


def named(hosts: tuple[str, ...]) -> str:
    """Hosts for people: not five hundred of them."""
    more = len(hosts) - _MOST
    return ", ".join(hosts) if more <= 0 else f"{', '.join(hosts[:_MOST])} and {more} more"


def _opened(event: Opened) -> Iterator[str]:
    changing = sum(map(len, event.waves))
    left = f", {counted(len(event.unchanged))} unchanged" if event.unchanged else ""
    yield f"rollout {event.rollout}: {event.release} to {counted(changing)} in {len(event.waves)} waves{left}"
    if event.window:
        yield f"  waves begin in {event.window} only, by the clock of {event.node}"
    yield from (f"  left out: {host}: {why}" for host, why in event.failed.items())


def _name(wave: int, opened: Opened | None) -> str:
    return "1 (canary)" if wave == 0 and opened and opened.canary else str(wave + 1)


def _style(event: Event) -> str:
    if isinstance(event, Closed):
        return "green" if event.outcome == "done" else "red"
    return "red" if isinstance(event, Judged) and not event.passed else ""
