"""What becomes of a chain over light hosts when one of them fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sealift.host_paths import BLOBS
from tests.peers.chain import SIZES, Fleet, fleet_of, in_the_middle


@pytest.fixture(params=[{}])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(tmp_path, **{"count": 4, **request.param}) as found:
        yield found


@pytest.mark.parametrize(
    "dead",
    ["h2", *(pytest.param(end, marks=pytest.mark.exhaustive) for end in ("h1", "h4"))],
)
def test_a_host_that_dies_is_named_alone_and_the_others_finish_in_a_chain(fleet: Fleet, dead: str) -> None:
    gathered = fleet.ship(in_the_middle(lambda: fleet.hosts.kill(dead)))
    assert list(gathered.errors) == [dead]
    others = [host for host in fleet.hosts.names if host != dead]
    assert [host for host in others if fleet.has_all(host)] == others
    assert fleet.straight == dict.fromkeys(others, 0)


@pytest.mark.exhaustive
def test_a_host_that_stands_still_does_not_keep_the_others(fleet: Fleet) -> None:
    stop = "pkill -STOP sealift-chain"
    gathered = fleet.ship(in_the_middle(lambda: fleet.hosts.on("h2", stop)))
    assert [host for host in ("h1", "h3", "h4") if fleet.has_all(host)] == ["h1", "h3", "h4"], gathered


@pytest.mark.exhaustive
def test_who_sends_rotten_bytes_is_named_and_nobody_keeps_them(fleet: Fleet) -> None:
    large = fleet.blobs[0]
    rotten = b"x" + fleet.path(large.digest).read_bytes()[1:]
    fleet.hosts.put("h3", f"{BLOBS}/{large.hex}", rotten)  # marked as verified, so it comes first
    shipped = fleet.ship().all()
    assert f"sent other bytes than those of {large.digest}" in shipped["h3"].note
    assert [host for host in ("h1", "h2", "h4") if fleet.has_all(host)] == ["h1", "h2", "h4"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("fleet", [{"small": ("h2",)}], indirect=True)
def test_a_host_without_room_is_named_alone(fleet: Fleet) -> None:
    gathered = fleet.ship()
    assert list(gathered.errors) == ["h2"]
    assert "MiB free for its store, needs 103 MiB" in str(gathered.errors["h2"])
    others: Mapping[str, int] = {"h1": 0, "h3": 0, "h4": 0}
    assert fleet.straight == others


@pytest.mark.exhaustive
def test_two_neighbours_that_die_are_named_and_the_others_finish_by_themselves(fleet: Fleet) -> None:
    """Half of the hosts; two that are left are no chain, and each goes on with what it has."""

    def die() -> None:
        fleet.hosts.kill("h2")
        fleet.hosts.kill("h3")

    gathered = fleet.ship(in_the_middle(die))
    assert sorted(gathered.errors) == ["h2", "h3"]
    assert [host for host in ("h1", "h4") if fleet.has_all(host)] == ["h1", "h4"]


@pytest.mark.exhaustive
def test_a_host_that_gives_nothing_on_is_behind_those_it_kept_waiting(fleet: Fleet) -> None:
    stop = "pkill -STOP -f '^sealift-chain: giver'"
    fleet.ship(in_the_middle(lambda: fleet.hosts.on("h2", stop))).all()
    assert [host for host in fleet.hosts.names if fleet.has_all(host)] == list(fleet.hosts.names)
    assert set(fleet.straight.values()) == {0}


@pytest.mark.exhaustive
def test_a_blob_that_is_altered_at_its_source_is_stored_nowhere(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has been looked for, and before its end is read."""
    large, path, once = fleet.blobs[0], fleet.path, iter([True])

    def altered(digest: str) -> Path:
        if digest == large.digest and next(once, False):
            content = bytearray(path(digest).read_bytes())
            content[-1] ^= 1
            path(digest).write_bytes(content)
        return path(digest)

    monkeypatch.setattr(fleet, "path", altered)
    gathered = fleet.ship()
    assert sorted(gathered.errors) == list(fleet.hosts.names)
    for host, error in gathered.errors.items():
        assert f"{large.hex}. Remove these files from the depot" in str(error)
        assert sorted(fleet.hosts.on(host, f"ls {BLOBS}").stdout.split()) == sorted(
            blob.hex for blob in fleet.blobs[1:]
        )


@pytest.mark.exhaustive
def test_hosts_end_with_the_control_node_and_a_second_run_goes_on(fleet: Fleet) -> None:
    child = os.fork()
    if child == 0:
        fleet.ship(in_the_middle(lambda: os.kill(os.getpid(), signal.SIGKILL)))
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    deadline = time.monotonic() + 20
    busy = "pgrep -r R,S,D -a 'sealift-chain|sshd'; ls /run/sealift-chain"
    while any(fleet.hosts.on(host, busy).stdout for host in fleet.hosts.names):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    shipped = fleet.ship().all()
    assert [host for host in fleet.hosts.names if fleet.has_all(host)] == list(fleet.hosts.names)
    assert shipped["h1"].bytes < sum(SIZES) - (5 << 20)


@pytest.mark.exhaustive
@pytest.mark.parametrize("fleet", [{"count": 6}], indirect=True)
def test_a_third_of_the_hosts_dies_and_the_others_finish_in_a_chain(fleet: Fleet) -> None:
    def die() -> None:
        fleet.hosts.kill("h2")
        fleet.hosts.kill("h5")

    gathered = fleet.ship(in_the_middle(die))
    others = ["h1", "h3", "h4", "h6"]
    assert sorted(gathered.errors) == ["h2", "h5"]
    assert [host for host in others if fleet.has_all(host)] == others
    assert fleet.straight == dict.fromkeys(others, 0)


@pytest.mark.exhaustive
def test_a_link_of_a_tenth_of_the_others_rate_keeps_nobody_waiting(fleet: Fleet) -> None:
    """It is noticed after 15 s, its ends are put last, and it is named."""
    for host in fleet.hosts.names:
        fleet.hosts.slow(host, "40mbit")
    began = time.monotonic()
    shipped = fleet.ship(in_the_middle(lambda: fleet.hosts.slow("h2", "4mbit"))).all()
    assert time.monotonic() - began < sum(SIZES) * 8 / 4e6  # what that link alone would have taken
    assert [host for host in fleet.hosts.names if fleet.has_all(host)] == list(fleet.hosts.names)
    assert any("MB/s from h2, while others got" in each.note for each in shipped.values()), shipped


@pytest.mark.exhaustive
def test_a_host_that_joins_late_is_shipped_to_at_the_end(fleet: Fleet) -> None:
    """Straight from the control node; a second run has nothing to send."""
    fleet.hosts.kill("h3")
    fleet.ship(in_the_middle(lambda: fleet.hosts.start("h3"))).all()
    assert [host for host in fleet.hosts.names if fleet.has_all(host)] == list(fleet.hosts.names)
    assert fleet.straight == {"h1": 0, "h2": 0, "h3": len(SIZES), "h4": 0}
    assert {each.bytes for each in fleet.ship().all().values()} == {0}
