"""What breaks in the middle of a rollout: each host ends whole, on one release or the other, and is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.rollout.events import Began, Ended
from tests.lab.conftest import lab_of
from tests.lab.faulty import HOSTS, NEWER, OLDER, Fleet, Under, fleet_of
from tests.lab.newer import everything
from tests.lab.test_faults import DOCKER, FILL, meanwhile

pytestmark = pytest.mark.exhaustive

_OLD = dict.fromkeys(HOSTS, OLDER)
_NEW_ON_H2 = {"h1": OLDER, "h2": NEWER}
_ONLY = ("--limit", "h2")
_Told = Callable[[Fleet, Under], None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, sources: Path) -> Iterator[Fleet]:
    """Two hosts of a site, on the older release; what they are by each release is known."""
    work = tmp_path_factory.mktemp("faulty")
    for commands in lab_of(work / "lab", hosts=2):
        fleet = fleet_of(commands, sources, work)
        for release in (OLDER, NEWER):
            fleet.wants(release)
            if release == NEWER:
                commands.ok("sealift", "rollout", fleet.inventory)
            fleet.states[release] = {host: everything(commands, host) for host in HOSTS}
        yield fleet


@pytest.fixture
def fleet(site: Fleet) -> Iterator[Fleet]:
    """Whole on the older release, with an inventory that wants the newer one."""
    site.reset()
    site.wants(NEWER)
    yield site
    site.boot()
    site.commands.run("sealift", "rollout", site.inventory, "--abandon")  # of a test that failed
    for host in HOSTS:
        site.commands.run("sealift", "undrain", site.inventory, host)


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> _Told:
    """Takes down what came of a fault."""

    def record(fleet: Fleet, under: Under) -> None:
        assert under.ran is not None
        record_property("seconds", round(under.seconds))
        record_property("said", under.ran.said)
        record_property("hosts", fleet.stands())

    return record


def _failed(under: Under) -> str:
    """Why the rollout failed, in a sentence that names the host."""
    assert under.ran is not None and under.ran.code == 1, under.ran
    assert "Traceback" not in under.ran.said
    assert under.closed.outcome == "failed" and under.closed.sentence.startswith("h2: "), under.closed
    return under.closed.sentence


def _left_behind(fleet: Fleet, under: Under) -> None:
    """A host that could not be told to go back is named, goes back by itself, and is given requests again."""
    assert under.ran is not None
    assert "h2: could not go back, and stays drained. Look at it; once it answers well: " in under.ran.said
    fleet.until_it_went_back("h2")
    fleet.commands.ok("sealift", "undrain", fleet.inventory, "h2")


def test_power_that_fails_between_activation_and_confirmation(fleet: Fleet, told: _Told) -> None:
    """It comes back at once, while the control node is at work."""
    with fleet.rollout(*_ONLY) as under:
        under.until(Began, "verify")
        fleet.cut_power("h2")
        fleet.boot()
    told(fleet, under)
    assert fleet.stands() in (_OLD, _NEW_ON_H2)
    assert under.ran is not None and (under.ran.code == 0) == (fleet.stands() == _NEW_ON_H2)


def test_power_that_fails_everywhere_between_activation_and_confirmation(
    fleet: Fleet, record_property: Callable[[str, object], None]
) -> None:
    """The control node's, too: whoever goes on finds a host that waits still, or one that went back."""
    rollout = ("sealift", "rollout", fleet.inventory)
    assert fleet.commands.kill_at('"phase":"verify"', *rollout, *_ONLY, "--json")
    fleet.cut_power("h2")
    fleet.boot()
    ran = fleet.commands.ok(*rollout, "--resume")
    record_property("resumed", ran.said)
    assert fleet.stands() == _NEW_ON_H2


@pytest.fixture
def small_disk(fleet: Fleet) -> Iterator[Fleet]:
    """Docker of h2 has a disk of its own, with room for its images and little more."""
    fleet.wants(OLDER)
    fleet.commands.on("h2", DOCKER.format("mount -t tmpfs -o size=1500m tmpfs"))
    fleet.commands.ok("sealift", "apply", fleet.inventory)
    fleet.wants(NEWER)
    yield fleet
    fleet.commands.on("h2", f"systemctl stop fault\n{DOCKER.format('umount')}")


def test_a_disk_that_fills_while_an_image_is_loaded(small_disk: Fleet, told: _Told) -> None:
    fleet = small_disk
    meanwhile(fleet.commands, FILL)
    with fleet.rollout(*_ONLY) as under:
        pass
    assert "has no space left" in _failed(under) and "Make room there" in _failed(under)
    fleet.commands.on("h2", "systemctl stop fault; rm /var/lib/docker/filler")  # which takes Docker's room
    told(fleet, under)
    assert fleet.stands() == _OLD


def test_sshd_that_is_gone_in_the_middle(fleet: Fleet, told: _Told) -> None:
    with fleet.rollout(*_ONLY) as under:
        under.until(Ended, "arm")
        fleet.inside("h2", "systemctl stop ssh.socket ssh.service; pkill -KILL sshd-session || :")
    assert "h2" in _failed(under)
    fleet.until_it_went_back("h2")
    fleet.inside("h2", "systemctl start ssh.service")
    _left_behind(fleet, under)
    told(fleet, under)
    assert fleet.stands() == _OLD
