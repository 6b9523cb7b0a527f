"""A site with a CA of its own, and how openssl, requests and Python's own TLS see its certificates."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests

from sealift.fleet.named_host import NamedHost
from sealift.site.authority import key_of, open_authority
from sealift.site.certificate_list import Listed, certificate_list
from sealift.site.inventory import Inventory
from sealift.site.issuing import Wanted, issue
from sealift.site.places import Place, all_places, chosen

NOW = datetime.now(UTC) + timedelta(hours=1)  # after whatever openssl makes in a test, on a slow machine too
MONTH = timedelta(days=30)
WORDS = "correct horse"  # a passphrase


def nobody() -> str:
    raise AssertionError("no passphrase is needed")


def places(inventory: Inventory) -> tuple[Place, ...]:
    return all_places(inventory)


def renewed(inventory: Inventory, names: Sequence[str], now: datetime = NOW) -> tuple[Place, ...]:
    found = chosen(places(inventory), names)
    ca = found[0].ca
    issue([Wanted(place, place.names()) for place in found], open_authority(ca, key_of(ca), nobody, now), now)
    return found


def openssl(*arguments: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def verify(tls: Path, name: str, *arguments: str) -> str:
    """What openssl says, as strictly as it can. Raises CalledProcessError where it refuses."""
    strict = ("-x509_strict", "-check_ss_sig", "-purpose", "sslserver")
    return openssl("verify", *strict, "-CAfile", "ca.crt", *arguments, f"{name}.crt", cwd=tls)


def sealift(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sealift", "ca", *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def listed(inventory: Inventory, now: datetime = NOW) -> dict[str, Listed]:
    return {each.name: each for each in certificate_list(inventory, now).certificates}


@contextmanager
def server(certificate: Path) -> Iterator[int]:
    """Answers one HTTPS request on loopback with this certificate; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=_answer, args=(listening, context))
        answering.start()
        yield int(listening.getsockname()[1])
        answering.join(10)


def _answer(listening: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    with connection, context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(4096)
        secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def asked(certificate: Path, ca: Path, name: str) -> str:
    """As `sealift ask` and acceptance ask, by requests."""
    with server(certificate) as port, requests.Session() as session:
        session.trust_env = False
        session.mount("https://", NamedHost(name))
        return session.get(f"https://127.0.0.1:{port}/", verify=str(ca), timeout=10).text


def strictly_connected(certificate: Path, ca: Path, name: str) -> str | None:
    """As Python 3.13 connects: what is not as RFC 5280 has it is refused."""
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        server(certificate) as port,
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\n\r\n")
        secured.recv(4096)
        return secured.version()
