"""How what status found is shown: a row per host, and below it each thing that is not as it should be."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.filesize import decimal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sealift.cli.console import complain, console, read_for, say, show
from sealift.cli.waiting import counted
from sealift.drift.look import Look
from sealift.drift.status import HostStatus
from sealift.errors import one_line, printable
from sealift.fleet.figures import GpuFigures
from sealift.fleet.role_state import State, role_states
from sealift.fleet.status import Standing
from sealift.host_paths import PUBLISHED_BLOBS
from sealift.site.check import site_warnings
from sealift.site.inventory import Inventory
from sealift.site.secrets import open_secrets
from sealift.site.watching import certificate_ends
from sealift.watch.firing import Alert
from sealift.watch.fleet_series import Found, blob_series, fleet_series
from sealift.watch.fleet_series import publish as put
from sealift.watch.prometheus import monitors

_LATE_S = 600  # since the last word that alerts would arrive


def data(look: Look) -> list[dict[str, Any]]:
    """For programs, by host; docs/status.md says what each key is."""
    return [
        {
            **dataclasses.asdict(host),
            "ok": host.ok,
            "serves": _states(host.standing),
            "alerts": None if look.alerts is None else [vars(alert) for alert in look.alerts_of(host.host)],
        }
        for host in look.hosts
    ]


def _states(standing: Standing | None) -> dict[str, dict[str, str]]:
    found = role_states(standing) if standing else {}
    return {role: {"state": each.state, "why": each.why} for role, each in found.items()}


def print_look(look: Look, site: Inventory) -> None:
    """Show it, and what runs out soon."""
    show(_table(look))
    for line in _below(look, site):
        say(line)
    for line in site_warnings(site, datetime.now(UTC)):
        say(f"warning: {line}")


def publish(site: Inventory, look: Look, now: int) -> None:
    """Write it where the site's Prometheus reads it. Raises SealiftError where the site has none."""
    found = [
        Found(
            host.host,
            len(host.differs) if host.standing else None,
            (host.standing and host.standing.generation) or "",
            (host.standing and host.standing.release) or "",
            host.drained,
        )
        for host in look.hosts
    ]
    settings = site.hosts[0].settings
    clients = open_secrets(settings.secrets, settings.identity).api_keys
    expiries = {name: client.expires for name, client in clients.items() if client.expires}
    watching = monitors(site.name, site.whole.hosts)
    put(watching, fleet_series(found, expiries, certificate_ends(watching), now))
    if look.damaged is not None:
        put(
            watching, blob_series({host: len(lines) for host, lines in look.damaged.items()}), PUBLISHED_BLOBS
        )


def _table(look: Look) -> Table:
    gpus = any(host.standing and host.standing.figures and host.standing.figures.gpus for host in look.hosts)
    columns = ("host", "release", "generation", "roles", "services", "disk free")
    more = (*(["GPU"] if gpus else []), *(["alerts"] if look.alerts is not None else []))
    table = Table(*columns, *more, "as wanted", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for host in look.hosts:
        table.add_row(*map(one_line, _row(host, look, gpus)))
    return table


def _row(host: HostStatus, look: Look, gpus: bool) -> Iterator[str]:
    standing = host.standing
    yield f"{host.host} (drained)" if host.drained else host.host
    if standing:
        yield standing.release or "-"
        yield standing.generation or "-"
        yield _roles(standing)
        yield _services(standing)
        yield _disk(standing)
    else:
        yield from ["?"] * 5
    if gpus:
        found = standing.figures.gpus if standing and standing.figures else {}
        yield ", ".join(map(_gpu, found.values())) or "-"
    if look.alerts is not None:
        yield str(len(look.alerts_of(host.host)) or "-")
    if not standing:
        yield "no answer"
    else:
        count = len(host.differs)
        yield f"{count} difference{'s' * (count > 1)}" if count else "yes"


def _roles(standing: Standing) -> str:
    """Such as `chat, embed up; vision down`: the worst last."""
    states = role_states(standing)
    by_state = {
        state: ", ".join(role for role, each in states.items() if each.state == state) for state in State
    }
    return "; ".join(f"{roles} {state}" for state, roles in by_state.items() if roles) or "-"


def _services(standing: Standing) -> str:
    """Such as `4 healthy, gateway exited`."""
    health = Counter(each.health or each.state for each in standing.containers)
    good = [f"{health['healthy']} healthy"] if health["healthy"] else []
    return ", ".join((*good, *(str(each) for each in standing.containers if each.health != "healthy"))) or "-"


def _disk(standing: Standing) -> str:
    if standing.disk_free is None:
        return "-"
    of = f" ({100 * standing.disk_free // standing.disk} %)" if standing.disk else ""
    return f"{decimal(standing.disk_free)}{of}"


def _gpu(gpu: GpuFigures) -> str:
    used = "" if gpu.utilization is None else f"{gpu.utilization:.0%}"
    warm = "" if gpu.temperature is None else f"{gpu.temperature:.0f} °C"
    memory = f"{gpu.memory_used / gpu.memory_total:.0%} full" if gpu.memory_used and gpu.memory_total else ""
    return " ".join(filter(None, (used, memory, warm))) or "there"


def _below(look: Look, site: Inventory) -> Iterator[str]:
    """A line per thing, and what to do about them."""
    yield from _models(look)
    for alert in look.alerts or ():
        yield f"alert {_alert(alert)}"
    if look.unknown:
        yield f"alerts are unknown: {look.unknown}"
    for host in look.hosts:
        yield from (f"{host.host}: {line}" for line in wrong(host))
        if host.standing and (host.standing.heartbeat_age or 0) > _LATE_S:
            yield (
                f"{host.host}: heard {host.standing.heartbeat_age} s ago last that alerts would arrive, "
                "expected it every minute. Look at Prometheus and Alertmanager there."
            )
    differ = [host.host for host in look.hosts if host.standing and host.differs]
    if differ:
        some = len(differ) < len(site.whole.hosts)
        limits = "".join(f" --limit {name}" for name in differ) if some else ""
        yield f"See what apply would change, line by line: sealift apply {site.name} --dry-run{limits}"


def _models(look: Look) -> Iterator[str]:
    """Which model answers each role, and where it is another one."""
    roles: dict[str, dict[str, list[str]]] = {}
    for host in look.hosts:
        for role, model in host.standing.roles.items() if host.standing else ():
            roles.setdefault(role, {}).setdefault(model, []).append(host.host)
    for role, models in sorted(roles.items()):
        most, *others = sorted(models.items(), key=lambda item: -len(item[1]))
        elsewhere = "".join(f", on {', '.join(hosts)} {model}" for model, hosts in others)
        yield f"role {role}: {most[0]}{elsewhere}"


def wrong(host: HostStatus) -> Iterator[str]:
    """What is not as it should be on a host, a line each."""
    if host.standing is None:
        yield str(host.error).removeprefix(f"{host.host}: ")
        return
    yield from host.differs
    for role, found in role_states(host.standing).items():
        if found.state != State.UP and role not in host.standing.failed:
            yield f"role {role} is {found.state}: {found.why}"


def _alert(alert: Alert) -> str:
    return " ".join(filter(None, (alert.severity, alert.name, alert.host, alert.about)))


class Screen:
    """What --watch shows: on a terminal the whole, drawn anew; elsewhere a line for each change."""

    def __init__(self) -> None:
        self._console = console(lasting=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._before: set[str] | None = None

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, look: Look, site: Inventory) -> None:
        """Show what was found now."""
        if self._live:
            lines = [f"{datetime.now():%H:%M:%S}, Ctrl-C to end", *_below(look, site)]
            both = Table.grid()
            both.add_row(_table(look))
            both.add_row(Text(printable("\n".join(lines))))
            self._live.update(both, refresh=True)
            return
        now = {f"{host.host}: {line}" for host in look.hosts for line in wrong(host)}
        now |= {f"alert {_alert(alert)}" for alert in look.alerts or ()}
        for line in changes(self._before, now, len(look.hosts)):
            self._console.print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {one_line(line)}", soft_wrap=True)
        self._before = now

    def read_for(self, seconds: float) -> bool:
        """Wait so long; less, and False, where nobody reads what it shows any more."""
        return not self._console.quiet and read_for(seconds)

    def complain(self, message: str) -> None:
        """Tell why nothing could be looked at."""
        if self._live:
            self._live.update(Text(printable(message)), refresh=True)
        else:
            complain(message)


def changes(before: set[str] | None, now: set[str], hosts: int) -> Iterator[str]:
    """A line for each change.

    + before: what was wrong at the last look; None where this is the first
    + now: what is wrong now
    + hosts: how many were looked at
    """
    if before is None:
        yield f"looking at {counted(hosts)}, {len(now) or 'nothing'} to look after"
    yield from (f"now       {line}" for line in sorted(now - (before or set())))
    yield from (f"no longer {line}" for line in sorted((before or set()) - now))
