"""The lab's hosts are closed: each tries to leave, and cannot. What may be reached is tried beside it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lab.commands import Commands, Ran

HOSTS = ("h1", "h2", "h3")
# Reserved for documentation by RFC 5737 and RFC 3849: an open network would swallow the packets or answer.
PUBLIC_ADDRESSES = ("192.0.2.1", "198.51.100.1", "2001:db8::1")
AT_ONCE_S = 3


def addresses_of_this_machine() -> list[str]:
    """What the machine is reached by from outside: every address of global scope."""
    links = subprocess.run(
        ["ip", "-json", "address", "show", "scope", "global"], capture_output=True, check=True
    )
    infos = [info for link in json.loads(links.stdout) for info in link.get("addr_info", [])]
    return [info["local"] for info in infos if "local" in info]


def connecting(address: str, port: int = 22) -> str:
    """A command that opens a TCP connection, with nothing but bash."""
    return f"timeout 10 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"


def try_from_a_host(commands: Commands, script: str) -> Ran:
    """Run what is expected to fail on h1."""
    return commands.run("ssh", "-F", commands.lab / "ssh_config", "h1", script)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_has_no_way_out(commands: Commands, host: str) -> None:
    assert commands.on(host, "ip -4 route show default; ip -6 route show default") == ""
    assert commands.on(host, "ip -4 route show").split()[:1] == ["10.77.0.0/24"]


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_a_host_reaches_no_public_address(commands: Commands, address: str) -> None:
    tried = try_from_a_host(commands, connecting(address))
    assert tried.code != 0 and "Network is unreachable" in tried.said
    assert tried.seconds < AT_ONCE_S


def test_a_host_does_not_reach_this_machine(commands: Commands) -> None:
    for address in addresses_of_this_machine():
        tried = try_from_a_host(commands, connecting(address))
        assert tried.code != 0 and "Network is unreachable" in tried.said
        assert tried.seconds < AT_ONCE_S


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_the_control_node_reaches_no_address_outside(commands: Commands, address: str) -> None:
    command = ("bash", "-c", connecting(address))
    tried = commands.run("sealift", "lab", "exec", "--", *command)
    assert tried.code != 0 and "Network is unreachable" in tried.said


def test_a_host_resolves_no_names_but_its_own(commands: Commands) -> None:
    tried = try_from_a_host(commands, "getent hosts www.example.com")
    assert tried.code == 2 and tried.out == ""
    assert tried.seconds < AT_ONCE_S
    assert commands.on("h1", "getent hosts h1").split() == ["127.0.1.1", "h1"]


def test_hosts_and_control_node_reach_each_other(commands: Commands) -> None:
    commands.on("h1", connecting("10.77.0.12"))
    commands.ok("sealift", "lab", "exec", "--", "bash", "-c", connecting("10.77.0.13"))


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_has_no_python_and_no_package_source(commands: Commands, host: str) -> None:
    assert commands.on(host, "command -v python3 python || echo none") == "none\n"
    assert commands.on(host, "apt-cache policy | grep -c 'http' || echo of-them").split() == ["0", "of-them"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_booted_without_a_failed_unit(commands: Commands, host: str) -> None:
    assert commands.on(host, "systemctl --failed --plain --no-legend") == ""


def test_pyinfra_moves_more_than_a_pipe_holds(
    commands: Commands, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What broke pyinfra over a ProxyCommand, and works through the relay."""
    folder = tmp_path_factory.mktemp("pyinfra")
    (folder / "large").write_bytes(bytes(range(256)) * 40_000)
    deploy = f"from pyinfra.operations import files\nfiles.put(src='{folder}/large', dest='/var/tmp/large')\n"
    (folder / "put.py").write_text(deploy)
    commands.ok("pyinfra", "inventories/lab/lab.py", folder / "put.py", "-y")
    for host in HOSTS:
        assert commands.on(host, "stat -c %s /var/tmp/large; rm /var/tmp/large") == "10240000\n"
