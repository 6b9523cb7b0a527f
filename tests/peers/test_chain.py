"""A chain over hosts that are real but light, and what becomes of it when one of them fails."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.host_paths import BLOBS, PARTIAL
from sealift.progress import Progress, silent
from sealift.ship import over_chain as module
from sealift.ship.over_chain import over_chain
from sealift.ship.over_ssh import over_ssh
from sealift.ship.types import BlobPath, Order, Shipped
from sealift.ssh import Gathered
from tests.peers.light_hosts import PORT, LightHosts

SIZES = (100 << 20, 5, 20_000, 3 << 20)  # bytes


@dataclass
class Fleet:
    """Light hosts, blobs for them, and what came straight from the control node at the end."""

    hosts: LightHosts
    depot: Path
    blobs: tuple[Blob, ...]
    straight: dict[str, int] = field(default_factory=dict)

    def ship(self, progress: Progress = silent) -> Gathered[Shipped]:
        orders = [Order(self.hosts.ssh(host), self.blobs, PORT) for host in self.hosts.names]
        return over_chain(orders, self.path, progress)

    def path(self, digest: str) -> Path:
        return self.depot / digest.removeprefix("sha256:")

    def has_all(self, host: str) -> bool:
        said = self.hosts.on(
            host, f"cd {BLOBS} && sha256sum -- * && stat -c '%a %Y' -- *"
        ).stdout.splitlines()
        sums = sorted(f"{blob.hex}  {blob.hex}" for blob in self.blobs)
        return sorted(said) == sorted([*sums, *["444 1"] * len(sums)])

    def left(self, host: str) -> str:
        """What a transfer left there, of processes, files and partial blobs."""
        return self.hosts.on(
            host, f"pgrep -r R,S,D -a 'sealift-chain|sshd|ssh|cat'; ls {PARTIAL}; ls /run/sealift-chain"
        ).stdout


@pytest.fixture(params=[()])
def fleet(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    hosts = LightHosts(tmp_path / "hosts", 4)
    hosts.folder.mkdir()
    depot = tmp_path / "depot"
    depot.mkdir()
    blobs = []
    for size in SIZES:
        content = os.urandom(size)
        blobs.append(Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=size))
        (depot / blobs[-1].hex).write_bytes(content)
    found = Fleet(hosts, depot, tuple(blobs))

    def recorded(orders: Sequence[Order], blob_path: BlobPath, progress: Progress) -> Gathered[Shipped]:
        done = over_ssh(orders, blob_path, progress)
        found.straight = {host: shipped.blobs for host, shipped in done.results.items()}
        return done

    monkeypatch.setattr(module, "over_ssh", recorded)
    try:
        hosts.begin(small=request.param)
        monkeypatch.setenv("PATH", f"{hosts.folder}/bin:{os.environ['PATH']}")
        yield found
    finally:
        hosts.end()


def in_the_middle(act: Callable[[], object]) -> Progress:
    """Do something once, when an eighth has come."""
    acted = False

    def progress(what: str, done: int, total: int) -> None:
        nonlocal acted
        if not acted and done * 8 > total:
            acted = True
            act()

    return progress


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
@pytest.mark.parametrize("fleet", [("h2",)], indirect=True)
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
def test_a_blob_that_is_altered_at_its_source_is_stored_nowhere(fleet: Fleet) -> None:
    large = fleet.blobs[0]

    def alter() -> None:
        with fleet.path(large.digest).open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last[0] ^ 1]))

    gathered = fleet.ship(in_the_middle(alter))
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
