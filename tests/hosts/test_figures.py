"""Figures of a host and its services, and who may see them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from pathlib import Path

import pytest
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.commands import output
from tests.hosts.containers import find_container

CONNECT_S, ANSWER_S = 3, 30
_Pair = tuple[Path, Path]
# How TLS 1.3 tells a client that it is not let in: with its first request, or in place of the answer.
REFUSED = (ssl.SSLError, ConnectionResetError, BrokenPipeError)
SCRAPED_S = 120  # of a host that has just been deployed


def asked(
    expected: Expectations,
    port: int,
    pair: tuple[Path, Path] | None,
    path: str = "/metrics",
    method: str = "GET",
) -> tuple[int, str]:
    """The status of an answer and its body.

    + pair: certificate and key of the client

    Raises OSError where there is no answer; a refused certificate is an ssl.SSLError, or a closed connection.
    """
    context = ssl.create_default_context(cafile=str(expected.gateway.ca))
    if pair:
        context.load_cert_chain(*map(str, pair))
    plain = socket.create_connection((expected.address, port), CONNECT_S)
    plain.settimeout(ANSWER_S)
    with context.wrap_socket(plain, server_hostname=expected.host) as secured:
        connection = http.client.HTTPConnection(expected.host, port)
        connection.sock = secured
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def monitor(expected: Expectations) -> _Pair:
    """Certificate and key of who watches."""
    certificate, key = expected.monitoring.certificate, expected.monitoring.key
    assert certificate and key
    return certificate, key


def port_of(expected: Expectations, service: str) -> int:
    return expected.services[service].figures


@pytest.mark.on("who may see figures")
def test_figures_are_shown_to_who_watches(expected: Expectations, shown: str) -> None:
    """The service shows its figures to the certificate of the hosts that watch."""
    status, body = asked(expected, port_of(expected, shown), monitor(expected))
    assert status == 200 and "# TYPE " in body, body[:300]


@pytest.mark.on("who may see figures")
def test_figures_are_shown_to_nobody_without_a_certificate(expected: Expectations, shown: str) -> None:
    """A connection to the service's figures without a client certificate gets no answer."""
    with pytest.raises(REFUSED):
        asked(expected, port_of(expected, shown), None)


@pytest.mark.on("who may see figures")
def test_figures_are_shown_to_no_other_certificate(expected: Expectations, shown: str) -> None:
    """A client with another certificate of the site's CA, the host's own, gets no answer."""
    own = expected.gateway.certificate, expected.gateway.key
    with pytest.raises(REFUSED):
        asked(expected, port_of(expected, shown), own)


@pytest.mark.on("who may see figures")
@pytest.mark.on("service gateway")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/stats"), ("POST", "/quitquitquit"), ("POST", "/metrics")]
)
def test_the_gateway_shows_who_watches_nothing_but_figures(
    expected: Expectations, method: str, path: str
) -> None:
    """Even who watches gets nothing else of the gateway's admin interface: it answers 404."""
    assert asked(expected, port_of(expected, "gateway"), monitor(expected), path, method)[0] == 404


@pytest.mark.on("service prometheus")
def test_prometheus_reads_every_figure(host: Host, expected: Expectations) -> None:
    """Prometheus reads the figures of every host and service that it is to watch."""
    container = find_container(host, "prometheus")["Id"]
    ask = "docker exec %s promtool query instant --format json http://localhost:9090 up"
    own = {(name, expected.host) for name, service in expected.services.items() if service.figures}
    wanted = own | {("prometheus", expected.host)}
    end, found = time.monotonic() + SCRAPED_S, {}
    while time.monotonic() < end:
        series = json.loads(output(host, ask, container))
        found = {(each["metric"]["job"], each["metric"]["host"]): each["value"][1] for each in series}
        if wanted <= found.keys() and set(found.values()) == {"1"}:
            break
        time.sleep(2)
    assert {each for each, up in found.items() if up != "1"} == set()
    assert wanted <= found.keys()
