"""What can be connected to, seen from the host and from the network."""

from __future__ import annotations

import socket

import pytest
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.commands import output

SSH = 22
OLLAMA = 11434
CONNECT_S = 3


def listeners(host: Host) -> dict[tuple[str, int], str]:
    """Every listening socket, as ss prints it, by protocol and port."""
    found = {}
    for line in output(host, "ss --no-header --listening --tcp --udp --numeric --processes").splitlines():
        fields = line.split()
        found[fields[0], int(fields[4].rpartition(":")[2])] = line
    return found


def test_nothing_listens_that_should_not(host: Host, expected: Expectations) -> None:
    """SSH listens and the services' published ports do, on TCP; nothing else does, not even on loopback."""
    found = listeners(host)
    published = {port for service in expected.services.values() for port in service.ports}
    allowed = {("tcp", port) for port in (SSH, *published)}
    surplus = "\n".join(found[socket] for socket in sorted(set(found) - allowed))
    assert not surplus, f"listens and should not:\n{surplus}"
    assert set(found) == allowed


def test_published_ports_are_open(service: str, expected: Expectations) -> None:
    """The ports that the service publishes take connections from the network."""
    for port in expected.services[service].ports:
        socket.create_connection((expected.address, port), CONNECT_S).close()


def test_ollamas_port_is_closed(expected: Expectations) -> None:
    """Ollama's own port takes no connection from the network."""
    with pytest.raises((ConnectionRefusedError, TimeoutError)):
        socket.create_connection((expected.address, OLLAMA), CONNECT_S)


def test_ollamas_port_is_not_published(host: Host) -> None:
    """Docker publishes no port of Ollama's on the host."""
    ids = output(host, "docker ps --quiet --filter label=com.docker.compose.project=sealift-ollama")
    assert ids, "Ollama does not run"
    assert output(host, "docker port %s", ids) == ""
