"""What is done in each step of a rollout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.evidence import record
from sealift.evidence.verify import verify
from sealift.fleet import generations
from sealift.fleet.behind import may_have_fronts
from sealift.fleet.survey import Target
from sealift.fleet.wave import Watch, apply_wave
from sealift.host.rollout_settings import RolloutSettings
from sealift.live.stand_in import told_idle, until_idle
from sealift.progress import Progress
from sealift.rollout import gate
from sealift.rollout.course import FORWARD, Step, armed_with, may_still_fail, ours
from sealift.rollout.engine import Done
from sealift.rollout.events import Event, Opened
from sealift.rollout.front_doors import FrontDoors
from sealift.rollout.known import firing_now, held_before
from sealift.rollout.window import Window
from sealift.ship.shipping import ship
from sealift.site.drained import read_drained
from sealift.site.inventory import Host, Inventory

LOG = "pyinfra-{wave}.log"  # in the rollout's folder: what pyinfra said
_WINDOW_PAUSE_S = 30  # between two looks at the clock, which may be set
_SOAK_PAUSE_S = 5  # between two looks at the alerts
_ASKED = 3  # times, until the site's Prometheus counts as silent
_SILENT = "the site's Prometheus did not answer, expected it to tell which alerts fire. See sealift status"
_UNSURE = ("arm", "apply", "verify", "undrain", "soak")  # steps in which hosts wait to be confirmed
_Act = Callable[[Step, Mapping[str, str]], Done]


@dataclass(frozen=True)
class Shown:
    """Who is told of long steps, for as long as they last."""

    shipping: Callable[[], AbstractContextManager[Progress]]
    deploying: Callable[[], AbstractContextManager[Watch]]
    verifying: Callable[[], AbstractContextManager[Progress]]
    waiting: Callable[[str], AbstractContextManager[Callable[[str], None]]]


class Steps:
    """Does the steps of a rollout on the hosts of a site. The locks are held already."""

    def __init__(
        self,
        site: Inventory,
        depot: Depot,
        found: tuple[Target, ...],
        folder: Path,
        shown: Shown,
        permit: Callable[[], None],
    ) -> None:
        """+ site: all of its hosts.

        + found: hosts of the rollout
        + folder: of the rollout
        + permit: raises SealiftError where a wave may not begin any more
        """
        self._site, self._depot, self._folder, self._shown = site, depot, folder, shown
        self._permit = permit
        self._targets = {target.host.name: target for target in found}
        self._settings: RolloutSettings = site.hosts[0].settings.rollout
        self._events: list[Event] = []
        self._doors = FrontDoors(site)

    def wait(self, step: Step, events: list[Event]) -> None:
        """Wait for the rollout's window before a wave begins; what is under way is finished at any time."""
        first = events[0]
        if step.phase != FORWARD[0] or not isinstance(first, Opened) or not first.window:
            return
        window = Window.parse(first.window)
        with self._shown.waiting(f"waiting for {window.begins:%H:%M}") as now:
            while (left := window.opens(at := datetime.now()) - at) > timedelta():
                now(f"waiting for {window.begins:%H:%M}, {str(left).partition('.')[0]} from now")
                time.sleep(min(_WINDOW_PAUSE_S, left.total_seconds()))
        self._permit()

    def notes(self, step: Step, events: list[Event]) -> Mapping[str, str]:
        """What has to be known of each host where this step is cut off."""
        if step.phase in ("drain", "leave"):
            self._doors.look_anew()
            with suppress(SealiftError):  # front doors are not known, which draining tells
                return dict.fromkeys(self._to_drain(step, events), "")
        if step.phase == "arm":
            with suppress(SealiftError):  # then no host is noted, which arming tells
                if (alerts := firing_now(self._site, _ASKED)) is not None:
                    return {host: "\n".join(gate.named(alerts, host)) for host in step.hosts}
        return {}

    def returned(self, hosts: tuple[str, ...]) -> frozenset[str]:
        """Those of some hosts that went back by themselves since they were armed."""
        found = generations.stands(self._hosts(hosts)).results
        return frozenset(host for host, stands in found.items() if stands.returned)

    def do(self, step: Step, notes: Mapping[str, str], events: list[Event]) -> Done:
        """Do a step, whether or not it was done before."""
        self._events = events
        try:
            return self._do(step, notes)
        finally:
            self._doors.look_anew()

    def _do(self, step: Step, notes: Mapping[str, str]) -> Done:
        acts: dict[str, _Act] = {
            "ship": self._ship,
            "drain": self._drain,
            "leave": self._drain,
            "arm": self._arm,
            "apply": self._apply,
            "verify": self._verify,
            "undrain": self._undrain,
            "return": self._undrain,
            "soak": self._soak,
            "confirm": self._confirm,
            "back": self._back,
        }
        if step.phase not in _UNSURE[1:]:
            return acts[step.phase](step, notes)
        with self._kept_waiting(step) as gone:
            left = tuple(host for host in step.hosts if host not in gone)
            done = acts[step.phase](replace(step, hosts=left), notes) if left else Done()
        return replace(done, failed=gone | dict(done.failed))

    def _hosts(self, names: Collection[str]) -> tuple[Host, ...]:
        return tuple(host for host in self._site.hosts if host.name in names)

    @contextmanager
    def _kept_waiting(self, step: Step) -> Iterator[dict[str, str]]:
        """Have hosts wait on for as long as this process is there: they go back where they hear nothing.

        Gives those that do not wait any more, and why.
        """
        over = threading.Event()
        hosts, within_s = self._hosts(step.hosts), self._settings.confirm_s

        def keep() -> None:
            while not over.wait(within_s / 3):
                with suppress(Exception):  # whatever it was, there is time for two more attempts
                    generations.keep(hosts, within_s)

        gone = gate.errors(generations.keep(hosts, within_s))  # now: of their time, much may have passed
        keeper = threading.Thread(target=keep, daemon=True)
        keeper.start()
        try:
            yield gone
        finally:
            over.set()
        keeper.join()  # nothing arms a host that is confirmed next; who interrupts waits for nobody

    def _ship(self, step: Step, _: Mapping[str, str]) -> Done:
        orders = [self._targets[host].order for host in step.hosts]
        with self._shown.shipping() as progress:
            done = ship(orders, self._depot, progress)
        total = sum(each.bytes for each in done.results.values())
        blobs = sum(each.blobs for each in done.results.values())
        return Done(gate.errors(done), f"{total / 1e6:.1f} MB in {blobs} blobs")

    def _to_drain(self, step: Step, events: list[Event]) -> tuple[str, ...]:
        return self._doors.to_drain(step.hosts, ours(events), back=step.phase == "leave")

    def _drain(self, step: Step, notes: Mapping[str, str]) -> Done:
        if not notes and step.phase == "leave":  # going back matters more
            return Done(said="not drained")
        if not notes:
            if self._to_drain(step, self._events):
                return Done(dict.fromkeys(step.hosts, "was to be drained, when front doors were not known"))
            return Done(said="not drained: no other host answers what they do" if self._doors.any() else "")
        if why := self._doors.tell(notes, drained=True):
            return Done(dict.fromkeys(notes, f"could not be drained: {why}"))
        left: Mapping[str, int] = {}
        within_s = self._settings.drain_s
        if self._doors.answered():
            with self._shown.waiting("waiting for what still runs") as now:
                left = until_idle(lambda: self._doors.running(notes), notes, within_s, now)
        return Done(said=told_idle(notes, left, within_s))

    def _arm(self, step: Step, notes: Mapping[str, str]) -> Done:
        with suppress(SealiftError):
            if notes or firing_now(self._site) is None:
                return Done(gate.errors(generations.arm(self._hosts(step.hosts), self._settings.confirm_s)))
        return Done(dict.fromkeys(step.hosts, _SILENT))

    def _apply(self, step: Step, _: Mapping[str, str]) -> Done:
        done = self._deploy(step)
        drained = read_drained(self._site.hosts[0].settings)
        # A front door has got the list by what the inventory names, and who is not drained is asked already.
        if may_have_fronts(self._hosts(step.hosts)) or not {*step.hosts} <= drained:
            return replace(done, said="; ".join(filter(None, (done.said, self._tell_what_runs()))))
        return done

    def _tell_what_runs(self) -> str:
        """Tell front doors what each host answers by now; what is wrong with that undoes no host."""
        try:
            return self._doors.tell((), drained=False) if self._doors.any() else ""
        except SealiftError as error:
            return str(error).splitlines()[0]

    def _deploy(self, step: Step) -> Done:
        failed: dict[str, str] = {}
        log = self._folder / LOG.format(wave=step.wave + 1)
        while left := [host for host in step.hosts if host not in failed]:
            try:
                with self._shown.deploying() as watch:
                    result = apply_wave(self._site.limited(left), log, watch)
            except SealiftError as error:
                # Those that it names have failed, and the others are not done: once more without them.
                said = str(error).splitlines()
                named = {host: why for host in left if (why := gate.told_of(host, said))}
                failed |= named or dict.fromkeys(left, said[0])
                if len(failed) > may_still_fail(self._events):
                    break
                continue
            found = {host: gate.applied(result.hosts.get(host)) for host in left}
            failed |= {host: why for host, why in found.items() if why}
            changed = sum(len(each.changed) for each in result.hosts.values())
            return Done(failed, f"{changed} operations changed something")
        return Done(failed)

    def _verify(self, step: Step, _: Mapping[str, str]) -> Done:
        site = self._site.limited(step.hosts)
        first = self._events[0]
        before = held_before(site, first.before if isinstance(first, Opened) else {})
        with self._shown.verifying() as progress:
            found = verify(site, progress)
        folder = record.write(found, record.lasting_folder(self._site))
        why = {host: gate.claims(found.of(host), before.get(host)) for host in step.hosts}
        failed = {host: sentence for host, sentence in why.items() if sentence}
        return Done(failed, f"{len(found.results)} claims, {len(found.failed)} fail", folder.name)

    def _undrain(self, step: Step, _: Mapping[str, str]) -> Done:
        hosts = [host for host in step.hosts if host in ours(self._events)]
        if not hosts:  # they answer other roles
            return Done(said=self._tell_what_runs())
        try:
            why = self._doors.tell(hosts, drained=False)
        except SealiftError as error:
            if step.phase != "return":  # then the wave goes back, and is undrained after that
                raise
            first, names = str(error).splitlines()[0], ", ".join(hosts)
            return Done(said=f"{first} Until you run sealift undrain, front doors send nothing to {names}.")
        return Done(said=f"{why} Once it answers, run sealift undrain." if why else "")

    def _soak(self, step: Step, _: Mapping[str, str]) -> Done:
        before = armed_with(self._events, step.wave)
        if not before:
            return Done(said="alerts were left out: the site has no Prometheus that answers")
        end = time.monotonic() + self._settings.soak_s
        with self._shown.waiting("watching alerts") as now:
            while True:
                found = None
                with suppress(SealiftError):
                    found = firing_now(self._site)
                left = end - time.monotonic()
                why = {h: gate.alerts(found or (), before.get(h, "").splitlines(), h) for h in step.hosts}
                failed = {host: sentence for host, sentence in why.items() if sentence}
                if not failed and left <= 0 and found is None:
                    failed = dict.fromkeys(step.hosts, "the site's Prometheus does not answer any more")
                if failed or left <= 0:
                    return Done(failed)
                now(f"watching alerts for {left:.0f} s more")
                time.sleep(min(_SOAK_PAUSE_S, left))

    def _confirm(self, step: Step, _: Mapping[str, str]) -> Done:
        return Done(gate.errors(generations.confirm(self._hosts(step.hosts))))

    def _back(self, step: Step, _: Mapping[str, str]) -> Done:
        with self._shown.waiting(f"going back: {', '.join(step.hosts)}"):
            failed = gate.errors(generations.go_back(self._hosts(step.hosts)))
        return Done({host: f"could not go back: {why}" for host, why in failed.items()})
