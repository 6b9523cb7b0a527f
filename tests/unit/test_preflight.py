"""What keeps a host from its release: a good host, spoiled in one way each time."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.host.preflight import twins
from sealift.host.probe import Disk, HostFacts, Listener, RunningContainer, parse_probe, probe, shell_problems
from tests.unit.fleet_site import MIB, lock, site_settings
from tests.unit.probed import GIB, GOOD, HOST, NOW, problems

OURS = RunningContainer("sealift-gateway", "sealift-gateway-1", frozenset({8443}))
FOREIGN = RunningContainer("shop", "shop-web-1", frozenset({8443}))
DOCKERD = Listener(8443, "dockerd")


def test_a_good_host_has_no_problem() -> None:
    assert HOST.listeners == (Listener(22, "sshd"),)
    assert problems() == []


def test_this_machine_can_be_probed() -> None:
    ran = subprocess.run(["sh", "-c", probe(site_settings())], capture_output=True, text=True, check=True)
    facts = parse_probe("h1", ran.stdout)
    assert facts.memory > 0 and facts.store_disk.free > 0 and "dash" in facts.packages


@pytest.mark.parametrize("number", ["x", "-5", "9" * 400, "9" * 5000, "\u0663", ""])
@pytest.mark.parametrize("old", ["clock=1795262400", "memory=8589934592", "store_disk=65024 10737418240"])
def test_numbers_that_are_none_are_refused(old: str, number: str) -> None:
    key, _, value = old.partition("=")
    with pytest.raises(SealiftError, match="does not say what it is"):
        parse_probe("h1", GOOD.replace(old, f"{key}={value.rpartition(' ')[0]} {number}".replace("= ", "=")))


def test_what_a_host_says_moves_no_cursor() -> None:
    spoiled = parse_probe("h1", GOOD.replace("suite=trixie", "suite=\x1b[2Jtrixie"))
    assert problems(spoiled)[0].startswith("h1: runs debian ?[2Jtrixie, expected debian trixie.")


def test_a_probe_that_broke_off_is_refused() -> None:
    with pytest.raises(SealiftError, match=r"^h1: does not say what it is"):
        parse_probe("h1", GOOD.replace("end=\n", ""))


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        (replace(HOST, suite="bookworm"), "h1: runs debian bookworm, expected debian trixie."),
        (replace(HOST, architecture="arm64"), "h1: is arm64, expected amd64."),
        (replace(HOST, root=False), "h1: is logged in to without being root, expected root."),
        (replace(HOST, systemd=False), "h1: was not started by systemd, expected systemd."),
        (replace(HOST, memory=3 * GIB // 4), "h1: has 768 MiB of memory, expected at least 1024."),
        (replace(HOST, clock=HOST.clock + 400), "h1: its clock is 400 s ahead, expected at most 300 s"),
        (replace(HOST, clock=HOST.clock - 400), "h1: its clock is 400 s behind, expected at most 300 s"),
        (replace(HOST, packages=frozenset({"docker-ce"})), "h1: has docker-ce installed, expected no"),
        (replace(HOST, listeners=(Listener(8443, "nginx"),)), "h1: port 8443 is taken by nginx, expected"),
        (replace(HOST, listeners=(Listener(8443, ""),)), "h1: port 8443 is taken by an unknown process,"),
        (
            replace(HOST, listeners=(DOCKERD,), containers=(FOREIGN,)),
            "h1: port 8443 is taken by container shop-web-1,",
        ),
    ],
)
def test_each_spoiled_fact_is_one_problem_with_a_remedy(spoiled: HostFacts, problem: str) -> None:
    said = problems(spoiled, ollama={"memory_limit_mib": 1024} if spoiled.memory >= GIB else {})
    assert len([line for line in said if line.startswith(problem)]) == 1
    assert all(re.fullmatch(r"h1: .+, expected .+\. [A-Z].+", line) for line in said)


def test_our_own_gateway_may_have_the_port() -> None:
    assert problems(replace(HOST, listeners=(DOCKERD,), containers=(OURS,))) == []


def test_the_port_of_a_chain_is_free_where_there_is_one() -> None:
    taken = replace(HOST, listeners=(Listener(4711, "nginx"),))
    assert problems(taken) == []
    (problem,) = problems(taken, ship_port=4711)
    assert problem.startswith(
        "h1: port 4711 is taken by nginx, expected a free port for shipping. Stop that,"
    )
    (problem,) = problems(ship_port=8443)
    assert (
        problem == "h1: port 8443 is that of gateway, expected one for shipping alone. Set another ship_port."
    )


def test_the_release_s_own_engine_is_no_conflict() -> None:
    assert problems(replace(HOST, packages=frozenset({"docker.io"}))) == []


def test_a_disk_needs_what_is_shipped_and_something_left_over() -> None:
    minimum = {"disk_free_mib": 2048}
    assert problems(to_ship=8 * GIB, minimum=minimum) == []
    (problem,) = problems(to_ship=8 * GIB + MIB, minimum=minimum)
    assert problem.startswith(
        "h1: has 10240 MiB of disk free for /var/lib/sealift, "
        "expected 8193 for the release and 2048 left over."
    )


def test_store_and_docker_on_one_disk_share_it() -> None:
    shared = replace(HOST, docker_disk=HOST.store_disk)
    (problem,) = problems(shared, to_ship=8 * GIB - 199 * MIB)
    assert "for /var/lib/sealift and /var/lib/docker," in problem
    assert problem.endswith("set data_folder to a larger disk, or lower minimum.disk_free_mib.")
    loaded = replace(shared, images=frozenset(image.image_id for image in lock().images.values()))
    assert problems(loaded, to_ship=8 * GIB - 199 * MIB) == []


def test_docker_s_copy_of_the_images_counts_a_shared_layer_once() -> None:
    small = replace(HOST, docker_disk=Disk(7, (2048 + 200) * MIB))
    assert problems(small) == []
    smaller = replace(HOST, docker_disk=Disk(7, (2048 + 200) * MIB - 1))
    assert "expected 200 for the release and 2048 left over" in problems(smaller)[0]


def test_a_shell_that_speaks_first_is_named_with_what_it_says() -> None:
    assert list(shell_problems("h1", GOOD)) == []
    (told,) = shell_problems("h1", f"Welcome to \x1b[1mh1\n{GOOD}")
    assert told.startswith("h1: its shell prints 'Welcome to ?[1mh1' before any answer, expected nothing")
    assert "~/.bashrc" in told


def test_copies_of_a_disk_are_told_with_each_other_s_names() -> None:
    other = replace(HOST, own=frozenset({"machine-id 4567", "SSH-key AAAAC3Nw"}))
    assert twins({"h1": HOST, "h2": other}) == {}
    copy = replace(other, own=frozenset({"machine-id 0123", "SSH-key AAAAC3Nw"}))
    found = {host: str(problem) for host, problem in twins({"h1": HOST, "h2": copy, "h3": other}).items()}
    assert found["h1"].startswith("h1: has the same machine-id as h2, expected one of its own: ")
    assert found["h2"].startswith("h2: has the same SSH-key and machine-id as h1, h3, expected one")
    assert found["h3"].endswith("run: rm /etc/ssh/ssh_host_* && ssh-keygen -A; then reboot it.")


def test_one_machine_under_two_names_is_told() -> None:
    assert sorted(twins({"h1": HOST, "h2": HOST})) == ["h1", "h2"]


def test_a_clock_that_is_a_year_off_is_asked_for_and_told(tmp_path: Path) -> None:
    """apt would say `Release file is not valid yet`, in the middle of a rollout."""
    (tmp_path / "date").write_text("#!/bin/sh\nexec /bin/date -d '1 year ago' \"$@\"\n")
    (tmp_path / "date").chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["sh", "-c", probe(site_settings())]
    said = subprocess.run(command, env=path, capture_output=True, text=True, check=True).stdout
    clock = parse_probe("h1", said).clock
    now = replace(HOST, clock=clock - int(datetime.now(UTC).timestamp() - NOW.timestamp()))
    (problem,) = problems(now)
    assert re.match(r"h1: its clock is 315\d{5} s behind, expected at most 300 s", problem)
