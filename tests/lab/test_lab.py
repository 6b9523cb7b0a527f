"""The lab itself: quick, repeatable, and gone without a trace whatever was killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from sealift.lab.cgroup import host_cgroup, lab_cgroup, supervisor
from sealift.lab.layout import Lab, LabHost
from tests.lab.commands import Commands

SECRET_FILES = ("identity", "id_ed25519", "release_key", "tls/ca.key", "tls/h1.key")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A lab that may be broken, beside the main one."""
    commands = Commands(tmp_path_factory.mktemp("own") / "lab")
    try:
        yield commands
    finally:
        commands.ok("sealift", "lab", "down")


def states(commands: Commands) -> dict[str, str]:
    shown = json.loads(commands.ok("sealift", "lab", "status", "--json").out)
    return {host["name"]: host["state"] for host in shown}


def times_of(state: Path) -> dict[Path, int]:
    """When each file of a lab was changed, but for what its running hosts write."""
    return {path: path.stat().st_mtime_ns for path in state.rglob("*") if "hosts" not in path.parts}


def traces(lab: Lab) -> list[str]:
    """Whatever on this machine bears the lab's name or path."""
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    mounts = Path("/proc/self/mounts").read_text()
    found = [line for line in (namespaces + mounts).splitlines() if lab.namespace in line]
    found += [line for line in mounts.splitlines() if f"{lab.state}/" in line]
    found += [str(folder) for folder in lab_cgroup(lab).folders if folder.exists()]
    found += [str(path) for path in Path("/run").rglob(f"*{lab.namespace}*")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if lab.namespace in words or f"{lab.state}/" in words:
            found.append(words)
    return found


def test_up_finishes_what_a_killed_up_began(own: Commands) -> None:
    for seconds in (0.4, 0.7, 1.0, 1.3):
        own.kill_after(seconds, "sealift", "lab", "up", "--hosts", "2")
    own.ok("sealift", "lab", "up", "--hosts", "2")
    assert states(own) == {"control": "running", "h1": "running", "h2": "running"}


def test_up_again_is_quick_and_changes_nothing(own: Commands) -> None:
    booted = "systemctl show -P UserspaceTimestamp"
    before = own.on("h1", booted), times_of(own.lab)
    ran = own.ok("sealift", "lab", "up")
    assert "no change" in ran.out
    assert (own.on("h1", booted), times_of(own.lab)) == before


def test_a_killed_host_comes_back_with_its_disk(own: Commands) -> None:
    own.on("h2", "echo kept >/root/mark; echo kept >/var/lib/sealift/mark; sync")
    killed = LabHost(Lab(own.lab.resolve()), 2)
    pid = supervisor(killed)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while supervisor(killed) is not None:
        time.sleep(0.05)
    assert states(own)["h2"] == "down"
    assert "booted h2 " in own.ok("sealift", "lab", "up").out
    assert own.on("h2", "cat /root/mark /var/lib/sealift/mark") == "kept\nkept\n"


def test_the_control_node_reaches_hosts_and_no_other_network(own: Commands) -> None:
    route = "10.77.0.0/24 dev host0 proto kernel scope link src 10.77.0.2"
    login = "ssh -i /srv/sealift/id_ed25519 -o UserKnownHostsFile=/srv/sealift/known_hosts 10.77.0.11"
    reached = own.on("control", f"{login} hostname; ip route; echo $SEALIFT_SITES")
    assert [line.strip() for line in reached.splitlines()] == ["h1", route, "/srv/sealift/sites"]


def test_the_control_node_has_python_and_a_host_has_none(own: Commands) -> None:
    assert own.on("control", "command -v python3").strip() == "/usr/bin/python3"
    assert own.on("h1", "command -v python3 || echo none") == "none\n"


def test_the_control_node_shares_the_depot_with_this_machine_and_only_reads_media(own: Commands) -> None:
    (own.lab / "media/mark").write_text("carried")
    assert own.on("control", "cat /media/sealift/mark; echo kept >/srv/sealift/depot/mark") == "carried"
    assert (own.lab / "depot/mark").read_text() == "kept\n"
    for mark in (own.lab / "media/mark", own.lab / "depot/mark"):
        mark.unlink()
    written = own.refused("ssh", "-F", own.lab / "ssh_config", "control", "touch /media/sealift/mark")
    assert "Read-only file system" in written.said


def test_a_control_node_is_not_taken_away_from_a_lab(own: Commands) -> None:
    assert "has a control node" in own.refused("sealift", "lab", "up", "--no-control").said


def test_an_unknown_host_key_is_refused(own: Commands) -> None:
    known = own.lab / "known_hosts"
    right = known.read_text()
    _, *lines = right.splitlines()  # without the control node's
    known.write_text("\n".join([lines[0].split()[0] + " " + lines[1].split(maxsplit=1)[1], lines[1]]) + "\n")
    try:
        assert (
            "Host key verification failed"
            in own.refused("ssh", "-F", own.lab / "ssh_config", "h1", "true").said
        )
        assert own.run("pyinfra", "inventories/lab/lab.py", "exec", "--", "true").code != 0
    finally:
        known.write_text(right)
    own.ok("ssh", "-F", own.lab / "ssh_config", "h1", "true")


def test_what_is_secret_is_readable_by_root_alone(own: Commands) -> None:
    for name in SECRET_FILES:
        assert stat.S_IMODE((own.lab / name).stat().st_mode) == 0o600


def test_server_certificates_are_of_the_labs_ca(own: Commands) -> None:
    ca, served = (
        x509.load_pem_x509_certificate((own.lab / "tls" / name).read_bytes()) for name in ("ca.crt", "h2.crt")
    )
    served.verify_directly_issued_by(ca)
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["h2"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.77.0.12"]


def test_a_folder_that_is_no_labs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("ten years of work")
    for command in ("up", "down"):
        refused = Commands(tmp_path).refused("sealift", "lab", command)
        assert str(tmp_path) in refused.said and "SEALIFT_LAB" in refused.said
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_machine_without_namespaces_is_refused(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "lab")
    refused = commands.refused("setpriv", "--bounding-set", "-sys_admin", "sealift", "lab", "up")
    assert "no network and mount namespaces" in refused.said
    assert not commands.lab.exists()


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    commands = Commands(tmp_path / "lab")
    mount = f"mount -t tmpfs -o size=100m none {tmp_path} && exec sealift lab up"
    refused = commands.refused("unshare", "--mount", "--propagation", "private", "sh", "-c", mount)
    assert f"{commands.lab}: 100 MiB free, expected 6144 MiB" in refused.said
    assert not commands.lab.exists()


def test_down_leaves_no_trace_after_kills(own: Commands) -> None:
    lab = Lab(own.lab.resolve())
    assert traces(lab)
    (host_cgroup(LabHost(lab, 1)).folders[0] / "cgroup.kill").write_text("1")
    own.kill_after(0.5, "sealift", "lab", "down")
    own.ok("sealift", "lab", "down")
    assert traces(lab) == [] and not own.lab.exists()
    own.ok("sealift", "lab", "down")
    assert not own.lab.exists()
