"""A host whose gateway is a server of a test, over TLS on loopback."""

from __future__ import annotations

import http.server
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage

from sealift.site.inventory import Host
from tests.unit.fleet_site import site_settings

KEY = "0123456789012345678901234"  # of the client demo


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextmanager
def serving_as(
    folder: Path, name: str, address: str, handler: type[http.server.BaseHTTPRequestHandler]
) -> Iterator[Host]:
    """Answer as a host's gateway.

    + address: of loopback
    + handler: that answers
    """
    certificate, key, identity = (folder / name for name in ("tls.crt", "tls.key", "age.key"))
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *curve, *subject, *files], check=True, capture_output=True)
    own = pyrage.x25519.Identity.generate()
    identity.touch(0o600)
    identity.write_text(str(own))
    sealed = pyrage.encrypt(f"api_keys: {{demo: '{KEY}'}}".encode(), [own.to_public()])
    (folder / "secrets.age").write_bytes(sealed)
    (folder / "ssh_config").write_text(f"Host {name}\n  HostName {address}\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    serving = _Server if ":" in address else http.server.ThreadingHTTPServer
    with serving((address, 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        gateway = {"certificate": "tls.crt", "key": "tls.key", "ca": str(certificate)}
        settings = site_settings(
            gateway={**gateway, "port": server.server_address[1]},
            secrets=str(folder / "secrets.age"),
            identity=str(identity),
            ssh_config_file=str(folder / "ssh_config"),
        )
        yield Host(name, frozenset(), settings)
        server.shutdown()
