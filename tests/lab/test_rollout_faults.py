"""What breaks in the middle of a rollout: each host ends whole, on one release or the other, and is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.rollout.events import Began, Ended
from tests.lab.conftest import lab_of
from tests.lab.faulty import HOSTS, NEWER, OLDER, Fleet, Under, fleet_of
from tests.lab.newer import everything
from tests.lab.test_faults import DOCKER, FILL, LOADING, meanwhile

pytestmark = pytest.mark.exhaustive

_OLD = dict.fromkeys(HOSTS, OLDER)
_NEW_ON_H2 = {"h1": OLDER, "h2": NEWER}
_ONLY = ("--limit", "h2")
_MUCH = 16 << 20  # bytes of a blob on its way
_ANOTHER_KEY = """\
mkdir /root/keys && mv /etc/ssh/ssh_host_* /root/keys/
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
systemctl restart ssh.service
pkill -KILL sshd-session || :
"""
_ANOTHER_TIME = """\
cat >/usr/local/bin/date <<'END'
#!/bin/sh
exec /usr/bin/date --date='{days} days' "$@"
END
chmod 755 /usr/local/bin/date
"""
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


def _whole_again(fleet: Fleet, under: Under) -> None:
    """The control node has brought h2 back or, where it could not tell it so, h2 has."""
    assert under.ran is not None
    if "could not go back" in under.ran.said:
        _left_behind(fleet, under)


def test_power_that_fails_between_activation_and_confirmation(fleet: Fleet, told: _Told) -> None:
    """It comes back at once, while the control node is at work."""
    with fleet.rollout(*_ONLY) as under:
        under.until(Began, "verify")
        fleet.cut_power("h2")
        fleet.boot()
    _whole_again(fleet, under)
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


def test_power_that_fails_while_a_release_is_shipped(fleet: Fleet, told: _Told) -> None:
    """The next rollout goes on with what arrived."""
    partial = fleet.disk("h2") / "sealift/partial"
    with fleet.rollout(*_ONLY) as under:
        under.until(Began, "ship")
        under.wait(lambda: any(each.stat().st_size > _MUCH for each in partial.iterdir()))
        fleet.cut_power("h2")
        fleet.boot()
    assert "h2" in _failed(under)
    told(fleet, under)
    assert fleet.stands() == _OLD
    fleet.commands.ok("sealift", "rollout", fleet.inventory, *_ONLY)
    assert fleet.stands() == _NEW_ON_H2


def test_power_that_fails_while_an_image_is_loaded(fleet: Fleet, told: _Told) -> None:
    """The host goes back when it boots, or is told to."""
    loading = fleet.disk("h2") / "docker/tmp"
    with fleet.rollout(*_ONLY) as under:
        under.wait(lambda: any(loading.glob("docker-import-*")))
        fleet.cut_power("h2")
        fleet.boot()
    assert "h2" in _failed(under)
    _whole_again(fleet, under)
    told(fleet, under)
    assert fleet.stands() == _OLD


def test_docker_killed_while_an_image_is_loaded(fleet: Fleet, told: _Told) -> None:
    """systemd starts it again; whether the load is tried again in time decides which release h2 has."""
    meanwhile(fleet.commands, f"{LOADING}; pkill -KILL dockerd && touch /root/killed")
    with fleet.rollout(*_ONLY) as under:
        pass
    fleet.commands.on("h2", "rm /root/killed")
    _whole_again(fleet, under)
    told(fleet, under)
    assert under.ran is not None
    assert fleet.stands() == (_NEW_ON_H2 if under.ran.code == 0 else _OLD)


def test_another_host_at_the_same_address(fleet: Fleet, told: _Told) -> None:
    """It is refused by its key; the one that was there comes again, and is whole."""
    with fleet.rollout(*_ONLY) as under:
        under.until(Ended, "arm")
        fleet.inside("h2", _ANOTHER_KEY)
    assert "h2" in _failed(under)  # by its key, or while its sshd is another one
    fleet.until_it_went_back("h2")
    asked = fleet.commands.run("sealift", "rollout", fleet.inventory, *_ONLY)
    assert asked.code == 1 and "h2: " in asked.said and "Host key verification failed" in asked.said
    fleet.inside("h2", "mv /root/keys/* /etc/ssh/; systemctl restart ssh.service")
    _left_behind(fleet, under)
    told(fleet, under)
    assert fleet.stands() == _OLD


@pytest.mark.parametrize("days", [400, -400])
def test_a_clock_that_jumps(fleet: Fleet, told: _Told, days: int) -> None:
    """A stand-in: hosts share this machine's clock, so one of them is told another time by `date`."""
    with fleet.rollout(*_ONLY) as under:
        under.until(Ended, "arm")
        fleet.inside("h2", _ANOTHER_TIME.format(days=days))
    fleet.inside("h2", "rm /usr/local/bin/date")
    assert "its clock is" in _failed(under)
    _whole_again(fleet, under)
    told(fleet, under)
    assert fleet.stands() == _OLD


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
