"""A chain over hosts that are real but light: what it brings, and who gets in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.host_paths import BLOBS, PARTIAL
from tests.peers.chain import Fleet, fleet_of, in_the_middle
from tests.peers.light_hosts import PORT


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with fleet_of(tmp_path, 4) as found:
        yield found


def test_every_host_gets_what_it_lacks_and_nothing_is_left_running(fleet: Fleet) -> None:
    large, small = fleet.blobs[0], fleet.blobs[2]
    fleet.hosts.put("h2", f"{PARTIAL}/{large.hex}", fleet.path(large.digest).read_bytes()[:1_000_000])
    fleet.hosts.put("h3", f"{BLOBS}/{small.hex}", fleet.path(small.digest).read_bytes())
    shipped = fleet.ship().all()
    assert {host: (each.blobs, each.note) for host, each in shipped.items()} == {
        "h1": (4, ""),
        "h2": (4, ""),
        "h3": (3, ""),
        "h4": (4, ""),
    }
    assert shipped["h2"].bytes == shipped["h1"].bytes - 1_000_000
    assert set(fleet.straight.values()) == {0}
    assert {host: (fleet.has_all(host), fleet.left(host)) for host in fleet.hosts.names} == dict.fromkeys(
        fleet.hosts.names, (True, "")
    )
    again = fleet.ship().all()
    assert {(each.blobs, each.bytes) for each in again.values()} == {(0, 0)}
    assert fleet.straight == {}  # nobody was asked twice


def test_nobody_else_gets_in_while_it_runs(fleet: Fleet) -> None:
    tried: dict[str, str] = {}

    def attempt() -> None:
        options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -i /tmp/own"
        fleet.hosts.on("h4", "ssh-keygen -q -t ed25519 -N '' -f /tmp/own")
        for host in ("h2", "h3"):
            address = f"10.99.1.{host.removeprefix('h')}"
            tried[host] = fleet.hosts.on("h4", f"ssh {options} -p {PORT} root@{address} true").stderr

    fleet.ship(in_the_middle(attempt)).all()
    assert [("Permission denied" in said) for said in tried.values()] == [True, True], tried
    assert set(fleet.straight.values()) == {0}


@pytest.mark.exhaustive
def test_keys_of_another_link_and_of_a_transfer_that_ended_let_nobody_in(fleet: Fleet) -> None:
    """h1 has the key for h2. A stranger with it gets nowhere else, and nowhere in the next transfer."""
    tried: dict[str, str] = {}

    def attempt(host: str) -> None:
        address = f"10.99.1.{host.removeprefix('h')}"
        options = (
            "-i /root/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
        )
        tried[host] = fleet.hosts.on("h4", f"echo x | ssh {options} -p {PORT} root@{address}").stderr

    def steal() -> None:
        key = fleet.hosts.on("h1", "cat /run/sealift-chain/client").stdout
        fleet.hosts.on("h4", f"mkdir -p /root; umask 077; echo '{key}' >/root/client")
        attempt("h3")

    fleet.ship(in_the_middle(steal)).all()
    for host in fleet.hosts.names:
        fleet.hosts.on(host, f"rm -r {BLOBS}")
    fleet.ship(in_the_middle(lambda: attempt("h2"))).all()
    assert [("Permission denied" in said) for said in tried.values()] == [True, True], tried
    assert [host for host in fleet.hosts.names if fleet.has_all(host)] == list(fleet.hosts.names)
    assert set(fleet.straight.values()) == {0}
