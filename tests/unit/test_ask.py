"""What a gateway may answer: a real one over TLS on loopback, which is not to be believed."""

from __future__ import annotations

import http.server
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.fleet.ask import ask, hosts_that_serve
from sealift.fleet.survey import Target
from sealift.site.inventory import Host
from tests.unit import samples
from tests.unit.fleet_site import MODEL, lock, site_settings
from tests.unit.gateway_host import serving_as

GOOD = {
    "message": {"content": " Paris\x1b[2J\n"},
    "eval_count": 20,
    "eval_duration": 10**9,
    "total_duration": 3e9,
}


class _Gateway(http.server.BaseHTTPRequestHandler):
    answer = (200, json.dumps(GOOD))
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(self.path)
        status, body = self.answer
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[("h1", "127.0.0.1"), ("gpu_1", "::1")], ids=["IPv4", "IPv6, underscore"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    _Gateway.asked = []
    name, address = request.param
    with serving_as(tmp_path, name, address, _Gateway) as found:
        yield found


def test_a_good_answer_is_read_without_what_moves_a_cursor(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Gateway, "answer", (200, json.dumps(GOOD)))
    answer = ask(host, "chat", "Where?")
    assert (answer.text, answer.tokens_per_second, answer.seconds) == ("Paris?[2J", 20, 3)


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{}", "[" * 100_000),
        json.dumps({**GOOD, "eval_duration": 0}),
        json.dumps({**GOOD, "eval_count": 10**400}),
        json.dumps({**GOOD, "eval_count": "x"}),
    ],
)
def test_an_answer_that_is_none_is_refused(host: Host, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(_Gateway, "answer", (200, body))
    with pytest.raises(SealiftError, match=rf"^{host.name}: answers what Ollama would not"):
        ask(host, "chat", "Where?")


def test_a_gateway_sends_nobody_elsewhere(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Gateway, "answer", (302, "/elsewhere"))
    with pytest.raises(SealiftError, match="answers 302 Found"):
        ask(host, "chat", "Where?")
    assert _Gateway.asked == ["/api/chat"]


def test_a_certificate_of_another_ca_is_told_by_what_is_wrong_with_it(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-subj", "/CN=other"]
    command = ["openssl", "req", "-x509", *curve, "-keyout", str(tmp_path / "other.key"), "-out", str(other)]
    subprocess.run(command, check=True, capture_output=True)
    gateway = host.settings.gateway.model_copy(update={"ca": other})
    stranger = replace(host, settings=host.settings.model_copy(update={"gateway": gateway}))
    with pytest.raises(SealiftError) as refused:
        ask(stranger, "chat", "Where?")
    assert str(refused.value).startswith(f"{host.name}: https://")
    assert f"shows a certificate that {other} does not vouch for" in str(refused.value)
    assert "CERTIFICATE_VERIFY_FAILED" in str(refused.value)
    assert str(refused.value).endswith("expected one of the site's CA. Run sealift preflight.")
    assert _Gateway.asked == []


def test_only_roles_that_answer_in_words_are_asked() -> None:
    in_words = lock().models[MODEL]
    in_numbers = in_words.model_copy(update={"shape": in_words.shape.model_copy(update={"embeds": True})})
    roles = {"chat": {"model": MODEL}, "embed": {"model": "minilm:l6"}}
    models = {MODEL: {"archive": "model.tar"}, "minilm:l6": {"archive": "minilm.tar"}}
    both = lock(samples.release(roles=roles, models=models)).model_copy(
        update={"models": {MODEL: in_words, "minilm:l6": in_numbers}}
    )
    hosts = [Host(name, frozenset(), site_settings()) for name in ("h1", "h2")]
    found = tuple(Target(each, StoredRelease("sha256:0", both)) for each in hosts)
    assert hosts_that_serve("chat", found) == tuple(hosts)
    with pytest.raises(SealiftError) as refused:
        hosts_that_serve("embed", found)
    assert str(refused.value) == (
        "embed: is a role of embeddings and answers in numbers, expected one that answers in words. "
        "Those here: chat."
    )
    with pytest.raises(SealiftError, match=r"^chatt: no host here .* The roles here: chat, embed\.$"):
        hosts_that_serve("chatt", found)
