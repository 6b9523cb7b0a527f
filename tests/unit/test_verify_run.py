"""The acceptance tests of tests/hosts, really run, against a host that does nothing right."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from sealift.blob import Blob
from sealift.evidence import expectations, record
from sealift.evidence.expectations import Expectations, ExpectedModel, ExpectedRole, ExpectedService
from sealift.evidence.run import verify_hosts
from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.host.settings import DockerSettings, GatewaySettings, OllamaSettings
from sealift.host_paths import ROOT
from sealift.progress import silent

KEY = "sk-secret-of-the-client-0123456789"
DIGEST = "sha256:" + "ab" * 32


class Echo(BaseHTTPRequestHandler):
    """Tells everybody the key that it was sent, with the status of a mistake."""

    def do_POST(self) -> None:
        said = self.headers.get("Authorization", "none").encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST  # noqa: N815 - the name that http.server calls

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def certify(path: Path) -> None:
    """Write a certificate of h1 that is its own CA, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("h1")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port and the CA of a server that echoes keys."""
    pem = tmp_path_factory.mktemp("echo") / "tls.pem"
    certify(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, pem
        server.shutdown()
        thread.join()


def expected(folder: Path, port: int, ca: Path, *groups: str) -> Expectations:
    """Expectations of a host that SSH does not reach."""
    config = folder / "ssh_config"
    config.write_text("Host h1\n    HostName 127.0.0.1\n    Port 1\n    BatchMode yes\n")
    return Expectations(
        host="h1",
        address="127.0.0.1",
        groups=("all", *groups),
        ssh_config=config,
        sudo=False,
        release="demo:1.0",
        bundle=DIGEST,
        packages={"docker.io": "26.1.5"},
        services={
            "ollama": ExpectedService(
                image="docker.io/ollama/ollama:1", image_id=DIGEST, ports=(), private=()
            )
        },
        files={},
        models={"gemma3:270m": ExpectedModel(blobs=(Blob(digest=DIGEST, size=1),), weights=DIGEST)},
        roles={"chat": ExpectedRole(model="gemma3:270m", blobs=(), plain=True, context=2048)},
        api_key=SecretStr(KEY),
        acceptance_key=None,
        acceptance_roles=(),
        ollama=OllamaSettings(),
        gateway=GatewaySettings(port=port, certificate=ca, key=ca, ca=ca, max_request_mib=1),
        docker=DockerSettings(),
        root=ROOT,
        stand_in_gpu=True,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, echo: tuple[int, Path]) -> tuple[ClaimResult, ...]:
    return verify_hosts([expected(tmp_path_factory.mktemp("results"), *echo)], [], 1, silent)


def test_host_that_does_not_answer_fails_every_claim_about_it(results: tuple[ClaimResult, ...]) -> None:
    claims = {result.key: result for result in results}
    installed = claims["packages", "test_packages_have_the_versions_of_the_lock"]
    assert installed.outcome == "failed"
    assert installed.detail.startswith("h1: does not answer over SSH: ")
    assert installed.claim == "Every package of the release is installed in the version that the lock pins."
    assert claims["answers", "test_answers[chat]"].claim == ("The role answers a question sensibly (chat).")
    assert {name for area, name in claims if area == "files"} == {
        "test_no_file_of_another_release_is_left",
        "test_nobody_but_root_can_change_the_host_store",
    }


def test_claims_about_gpus_are_made_about_hosts_with_a_gpu_only(
    tmp_path: Path, echo: tuple[int, Path], results: tuple[ClaimResult, ...]
) -> None:
    assert {result.area for result in results} >= {"packages", "gateway", "listeners"}
    assert "gpu" not in {result.area for result in results}
    names = {r.name for r in verify_hosts([expected(tmp_path, *echo, "gpu")], [], 1, silent)}
    assert "test_ollama_has_the_stand_in" in names
    assert not names & {"test_no_gpu_toolkit", "test_ollama_sees_the_gpu"}


def test_key_that_a_host_echoes_is_nowhere_in_the_evidence(
    tmp_path: Path, results: tuple[ClaimResult, ...]
) -> None:
    said = next(result for result in results if result.name == "test_answers_openai_clients[chat]")
    assert "Bearer [key]" in said.detail
    evidence = Evidence(
        inventory="lab",
        release="demo:1.0",
        bundle=DIGEST,
        verified_at=datetime.now(UTC),
        verified_on="control",
        hosts=(VerifiedHost(name="h1", address="127.0.0.1", groups=("all",)),),
        results=results,
    )
    for path in record.write(evidence, tmp_path / "evidence").iterdir():
        assert KEY not in path.read_text()


def test_tests_that_do_not_come_to_an_end_are_a_failed_claim(tmp_path: Path, echo: tuple[int, Path]) -> None:
    (result,) = verify_hosts([expected(tmp_path, *echo)], ["false"], 1, silent)
    assert (result.outcome, result.detail) == ("failed", "pytest ended with 1; it said last:")


def test_expectations_are_for_their_owner_only_and_read_back(tmp_path: Path, echo: tuple[int, Path]) -> None:
    path, wanted = tmp_path / "h1.json", expected(tmp_path, *echo)
    expectations.write(wanted, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert expectations.read(path) == wanted
    assert KEY not in repr(wanted)
