"""A token server as registries name one: it signs what Debian's docker-registry believes.

Source of the format: docs/spec/auth/jwt.md of github.com/distribution/distribution.
"""

from __future__ import annotations

import base64
import datetime
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ISSUER, SERVICE = "issuer of the tests", "registry of the tests"


@dataclass(frozen=True)
class Issuer:
    """A token server that runs."""

    url: str
    certificate: Path


@contextmanager
def issuing(folder: Path, user: str, password: str, public: str | None = None) -> Iterator[Issuer]:
    """Give tokens for whatever is asked to one user.

    + public: anybody gets a token, which opens what is below this path for reading
    """
    folder.mkdir(parents=True)
    key = rsa.generate_private_key(65537, 2048)
    certificate = _certificate(key)
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.headers.get("Authorization")
            scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
            if sent is None and public is not None:
                scopes = [scope for scope in scopes if scope.startswith(f"repository:{public}")]
                assert all(scope.endswith(":pull") for scope in scopes)
            elif sent != wanted:
                self.send_error(401)
                return
            content = json.dumps({"token": _token(key, certificate, user, scopes)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Issuer(f"http://127.0.0.1:{server.server_address[1]}/token", folder / "certificate.pem")
        server.shutdown()


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now - datetime.timedelta(hours=1),
        not_valid_after=now + datetime.timedelta(hours=1),
    )
    return builder.sign(key, hashes.SHA256())


def _token(key: rsa.RSAPrivateKey, certificate: x509.Certificate, user: str, scopes: list[str]) -> str:
    der = certificate.public_bytes(serialization.Encoding.DER)
    head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    now = int(time.time())
    access = []
    for scope in scopes:
        kind, name, actions = scope.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    claims = {"iss": ISSUER, "sub": user, "aud": SERVICE, "jti": str(now), "access": access}
    body = f"{_part(head)}.{_part({**claims, 'nbf': now - 60, 'iat': now - 60, 'exp': now + 600})}"
    return f"{body}.{_text(key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _part(value: dict[str, Any]) -> str:
    return _text(json.dumps(value).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
