"""A rollout begun, gone on with, or abandoned: alone on its depot and on all its hosts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sealift.depot.activation import activating
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.fleet.apply import link_roots
from sealift.fleet.host_lock import hosts_held, owner
from sealift.fleet.survey import Target, only_depot, survey, targets
from sealift.fleet.wave import one_rollout
from sealift.promotion.rule import Verdict
from sealift.promotion.site import log_overrides
from sealift.rollout import engine
from sealift.rollout.course import failures
from sealift.rollout.events import Closed, Ended, Event
from sealift.rollout.front_doors import releases_in_force
from sealift.rollout.journal import Journal, new_folder, require_finished, unfinished
from sealift.rollout.prepared import Prepared, Terms, opened, who
from sealift.rollout.promoting import require_same, require_still
from sealift.rollout.steps import Shown, Steps
from sealift.site.inventory import Inventory

KEPT = "depot"  # in a rollout's folder: what it reads of the depot
Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Result:
    """What became of a rollout.

    + failed: hosts, and why
    """

    journal: Journal
    closed: Closed
    failed: dict[str, str]

    @property
    def stuck(self) -> tuple[str, ...]:
        """Hosts that should have gone back, and could not."""
        back = (e for e in self.journal.events if isinstance(e, Ended) and e.phase == "back")
        return tuple(host for event in back for host in event.failed)

    @property
    def ok(self) -> bool:
        """Whether every host is what it should be."""
        return self.closed.outcome == "done" and not self.failed


def begin(prepared: Prepared, shown: Shown, tell: Tell, verdict: Verdict, window: str = "") -> Result:
    """Begin a rollout, and go through it.

    + verdict: which lets it begin
    + window: in which waves may begin; empty is any time

    Raises SealiftError where another one is running, or was not ended.
    """
    with one_rollout(prepared.depot.path):
        require_finished(prepared.site)
        link_roots(tuple(t for t in prepared.targets if t.host.name in prepared.changing))
        journal = Journal(new_folder(prepared.site, datetime.now(UTC)))
        permit = _permitting(prepared.site, prepared.targets, journal)
        steps = Steps(prepared.site.whole, prepared.depot, prepared.targets, journal.folder, shown, permit)
        with _held(prepared.site, journal):
            now = datetime.now(UTC).replace(microsecond=0)
            log_overrides(prepared.site, verdict, f"rollout {journal.id}", now)
            terms = Terms(window, tuple(each.digest for each in verdict.overrides))
            event = opened(prepared, journal, now, terms)
            journal.add(event)
            tell(event)
            with _kept(prepared.site, prepared.depot, journal):
                return _result(journal, engine.go(journal, steps, tell))


def go_on(site: Inventory, abandon: bool, shown: Shown, tell: Tell) -> Result:
    """Go on with the rollout that was not ended.

    + abandon: take back the wave that it was at, and end it

    Raises SealiftError where there is none, another one is running, or the inventory names another release.
    """
    depot = only_depot(site.whole)
    with one_rollout(depot.path):
        journal = unfinished(site)
        if journal is None:
            raise SealiftError(f"{site.name}: no rollout is unfinished, expected one. Run sealift rollout.")
        with _kept(site, depot, journal):
            return _go_on(site, depot, journal, abandon, shown, tell)


def _go_on(
    site: Inventory, depot: Depot, journal: Journal, abandon: bool, shown: Shown, tell: Tell
) -> Result:
    opened = journal.opened
    hosts = tuple(host for wave in opened.waves for host in wave)
    part = site.whole.limited(hosts)
    found = targets(part)
    other = sorted({target.release for target in found if target.stored.digest != opened.bundle})
    if other and not abandon:
        raise SealiftError(
            f"{site.path}: names {', '.join(other)} by now, expected {opened.release}, which the "
            "unfinished rollout is of. Name that one again, or take back the wave that it was at: "
            "--abandon."
        )
    permit = _permitting(part, found, journal)
    if not abandon:
        permit()
        require_same(opened, survey(found).wanted)
    steps = Steps(site.whole, depot, found, journal.folder, shown, permit)
    with _held(site, journal):
        engine.resume(journal, steps, who(), abandon, tell)
        return _result(journal, engine.go(journal, steps, tell))


def _permitting(site: Inventory, found: tuple[Target, ...], journal: Journal) -> Callable[[], None]:
    """Raises SealiftError, when it is called, where the site does not take what a rollout brings any more."""

    def permit() -> None:
        opened, now = journal.opened, datetime.now(UTC).replace(microsecond=0)
        in_waves = {host for wave in opened.waves for host in wave}
        stored = {target.host.name: target.stored for target in found if target.host.name in in_waves}
        verdict = require_still(site, opened, stored, now)
        used = tuple(each for each in verdict.overrides if each.digest not in opened.overrides)
        log_overrides(site, replace(verdict, overrides=used), f"rollout {journal.id}", now)

    return permit


@contextmanager
def _kept(site: Inventory, depot: Depot, journal: Journal) -> Iterator[None]:
    """For as long as a rollout lasts, what is read of the depot is what the rollout keeps of it."""
    folder, named = journal.folder / KEPT, [host.settings.release for host in site.whole.hosts]
    with activating(depot, named, folder, lambda: releases_in_force(site.whole)):
        yield
    if isinstance(journal.events[-1], Closed):
        shutil.rmtree(folder, ignore_errors=True)


def _result(journal: Journal, closed: Closed) -> Result:
    return Result(journal, closed, failures(journal.events))


@contextmanager
def _held(site: Inventory, journal: Journal) -> Iterator[None]:
    """Hold the locks of all hosts of a site that answer: front doors are told of the others.

    They stay where the rollout is cut off: hosts may be drained, and go back by themselves.
    """
    hosts = [host.ssh for host in site.whole.hosts]

    def unfinished() -> bool:
        return bool(journal.events) and not journal.is_closed

    with hosts_held(hosts, owner(only_depot(site).path), lost_too=True, unfinished=unfinished):
        yield
