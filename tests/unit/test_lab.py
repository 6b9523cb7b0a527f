"""The lab: what follows from a folder and a number, and what is made once."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.lab import layout, root
from sealift.lab.cgroup import Cgroup, hierarchies
from sealift.lab.host import boot_command
from sealift.lab.layout import CONTROL, Lab, LabHost, Machines, known_machines, open_lab
from sealift.lab.machine import disk_free_mib
from sealift.lab.site import ensure_control_site, ensure_site
from sealift.sources.apt_mirror import Mirrors

LAB = Lab(Path("/srv/lab"))
HOST = LabHost(LAB, 2)


def test_labs_of_different_folders_share_no_name_and_no_address() -> None:
    other = Lab(Path("/srv/lab2"))
    assert LAB.namespace == "sealift-8f527650"
    assert LAB.namespace != other.namespace
    assert HOST.machine != LabHost(other, 2).machine
    assert HOST.relay != LabHost(other, 2).relay


def test_a_host_follows_from_its_number() -> None:
    assert [host.name for host in Machines(LAB, 3, False).all] == ["h1", "h2", "h3"]
    assert (HOST.address, HOST.relay.split(".")[0], HOST.relay.split(".")[3]) == ("10.77.0.12", "127", "12")


def test_a_control_node_is_booted_beside_the_hosts_and_is_none_of_them() -> None:
    machines = Machines(LAB, 2, True)
    assert [host.name for host in machines.all] == ["control", "h1", "h2"]
    assert [host.name for host in machines.hosts] == ["h1", "h2"]
    assert machines.all[0].address == "10.77.0.2"


def test_the_state_is_found_by_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert open_lab({"SEALIFT_LAB": str(tmp_path / "link")}) == Lab(tmp_path / "real")
    assert open_lab({}) == Lab(Path.cwd().resolve() / ".lab")


@pytest.mark.parametrize("path", ["/tmp/a b", "/tmp/a:b", "/tmp/a,b", "/tmp/a%h", "/tmp/ä"])  # noqa: S108 - none is made
def test_a_path_that_mounts_would_misread_is_refused(path: str) -> None:
    with pytest.raises(SealiftError, match=f"^{path}: .* Set SEALIFT_LAB"):
        open_lab({"SEALIFT_LAB": path})


def test_the_inventory_gets_names_addresses_and_relays() -> None:
    listed = json.loads(layout.hosts_json(Machines(LAB, 1, True)))
    assert listed == {
        "enter": ["nsenter", f"--net={LAB.netns}"],
        "namespace": LAB.namespace,
        "control": True,
        "suite": "trixie",
        "hosts": [
            {
                "name": "h1",
                "address": "10.77.0.11",
                "relay": LabHost(LAB, 1).relay,
                "relay_port": 2022,
                "sudo": False,
            }
        ],
    }


def test_a_lab_knows_what_it_was_made_with_and_the_control_node_what_it_is(tmp_path: Path) -> None:
    lab, disk = Lab(tmp_path / "lab"), Lab(tmp_path / "disk")
    assert known_machines(lab) is None
    for state in (lab.state, disk.state):
        state.mkdir()
    lab.hosts_json.write_bytes(layout.hosts_json(Machines(lab, 2, True)))
    assert known_machines(lab) == Machines(lab, 2, True, "trixie")
    lab.hosts_json.write_bytes(layout.hosts_json(Machines(lab, 2, False, "bookworm")))
    assert known_machines(lab) == Machines(lab, 2, False, "bookworm")


def test_ssh_config_enters_the_namespace_and_trusts_known_keys_alone() -> None:
    config = layout.ssh_config(Machines(LAB, 2, False)).decode()
    assert "Host h2\n    HostName 10.77.0.12\n" in config
    assert f"ProxyCommand nsenter --net=/run/netns/{LAB.namespace} nc %h %p\n" in config
    assert f"Host {HOST.relay}\n    Port 2022\n" in config
    common = config.partition("Host *\n")[2]
    assert "StrictHostKeyChecking yes" in common and "UserKnownHostsFile /srv/lab/known_hosts" in common


def test_a_host_is_known_under_each_of_its_names() -> None:
    line = layout.known_hosts({HOST: "ssh-ed25519 AAAA"}).decode()
    assert line == f"h2,10.77.0.12,[{HOST.relay}]:2022 ssh-ed25519 AAAA\n"


def test_the_unified_hierarchy_comes_first_and_is_needed() -> None:
    legacy = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n"
    memory = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
    unified = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    assert hierarchies(legacy + memory + unified) == (
        Path("/sys/fs/cgroup/unified"),
        Path("/sys/fs/cgroup/systemd"),
    )
    assert hierarchies(memory + unified) == (Path("/sys/fs/cgroup/unified"),)
    assert hierarchies(legacy + memory) == ()


def test_pids_are_those_of_the_cgroup_and_below(tmp_path: Path) -> None:
    (tmp_path / "payload").mkdir()
    (tmp_path / "cgroup.procs").write_text("")
    (tmp_path / "payload/cgroup.procs").write_text("7\n8\n")
    assert Cgroup((tmp_path,)).pids() == [7, 8]
    assert Cgroup((tmp_path / "gone",)).pids() == []


def test_a_host_is_booted_within_the_namespace_and_gets_nothing_of_this_machines() -> None:
    command = boot_command(HOST, Path("/cache/root"))
    assert command[:2] == ["nsenter", f"--net=/run/netns/{LAB.namespace}"]
    assert "lowerdir=/cache/root,upperdir=/srv/lab/hosts/h2/upper,workdir=/srv/lab/hosts/h2/work" in command
    assert {"--resolv-conf=off", "--timezone=off", "--link-journal=no", "--register=no"} < set(command)
    assert "--bind=/srv/lab/hosts/h2/docker:/var/lib/docker" in command


def test_the_control_node_gets_media_to_read_and_the_sites_depot_and_nothing_of_a_host() -> None:
    command = boot_command(LabHost(LAB, CONTROL), Path("/cache/root"))
    assert [option for option in command if option.startswith("--bind")] == [
        "--bind=/srv/lab/control:/srv/sealift",
        "--bind=/srv/lab/depot:/srv/sealift/depot",
        "--bind-ro=/srv/lab/media:/media/sealift",
    ]


def test_the_root_holds_no_docker_and_no_python() -> None:
    assert not [
        name for name in root.PACKAGES if "docker" in name or "python" in name or "containerd" in name
    ]


def test_a_control_nodes_root_holds_python_and_nothing_else_beside() -> None:
    assert set(root.CONTROL_PACKAGES) - set(root.PACKAGES) == {"python3"}
    assert root.recipe_digest("trixie", root.CONTROL_PACKAGES) != root.recipe_digest("trixie", root.PACKAGES)
    assert root.recipe_digest("bookworm", root.PACKAGES) != root.recipe_digest("trixie", root.PACKAGES)


def test_the_root_comes_from_all_three_suites() -> None:
    lines = root.sources(Mirrors("http://main.example/", "http://security.example/")).splitlines()
    assert lines == [
        "deb http://main.example/ trixie main",
        "deb http://main.example/ trixie-updates main",
        "deb http://security.example/ trixie-security main",
    ]


def test_a_finished_root_keeps_nothing_of_this_machine(tmp_path: Path) -> None:
    for name in ("etc/resolv.conf", "etc/hostname", "etc/apt/sources.list", "etc/ssh/ssh_host_rsa_key"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of this machine")
    (tmp_path / "etc/ssh/sshd_config").write_text("of Debian")
    for _ in range(2):
        root.finish(tmp_path)
    units = tmp_path / "etc/systemd/system"
    assert [path.name for path in tmp_path.glob("etc/**/*") if path.is_file() and not path.is_symlink()] == [
        "sshd_config"
    ]
    masked = {
        path.name for path in units.iterdir() if path.is_symlink() and path.readlink() == Path("/dev/null")
    }
    assert masked == set(root.MASKED)
    assert (units / "multi-user.target.wants/ssh.service").is_symlink()


def test_the_site_is_made_once_and_completed(tmp_path: Path) -> None:
    site = Machines(Lab(tmp_path), 2, False).hosts
    ensure_site(site)
    made = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    ensure_site(site)
    assert made == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "tls/h2.crt").unlink()
    (tmp_path / "id_ed25519.pub").unlink()
    ensure_site(site)
    assert (tmp_path / "tls/h2.crt").exists()
    assert (tmp_path / "id_ed25519.pub").read_bytes() == made[tmp_path / "id_ed25519.pub"]


def test_the_control_node_gets_what_an_administrator_brings_and_nothing_that_signs(tmp_path: Path) -> None:
    machines = Machines(Lab(tmp_path), 1, True)
    ensure_site(machines.hosts)
    machines.lab.known_hosts.write_bytes(b"")
    ensure_control_site(machines)
    files = {path.name: path for path in tmp_path.glob("control/**/*") if path.is_file()}
    assert sorted(files) == ["allowed_signers", "id_ed25519", "known_hosts"]
    assert stat.S_IMODE(files["id_ed25519"].stat().st_mode) == 0o600


def test_free_disk_is_that_of_the_nearest_folder(tmp_path: Path) -> None:
    assert disk_free_mib(tmp_path / "not/yet") == pytest.approx(disk_free_mib(tmp_path), abs=1024)
