"""Budgets by the real Envoy and the real keeper, before a stand-in of Ollama that says its tokens."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from sealift.services import USED
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import ROLE, Gateway, keys_of, message_of
from tests.unit.fleet_site import lock, wanted

SECRETS = Secrets.model_construct(
    api_keys={
        "alice": keys_of("alice", tokens_per_day=100),
        "bob": keys_of("bob"),
        "carol": keys_of("carol", tokens_per_day=10**9, tokens_per_month=100),
        "dave": keys_of("dave", tokens_per_month=10**9),
        "erin": keys_of("erin", tokens_per_minute=100),
    }
)
_PATIENCE_S = 30
GENERATE, CHAT, MESSAGES = "/api/generate", "/v1/chat/completions", "/v1/messages"
PROMPT = 10


class Model(BaseHTTPRequestHandler):
    """Answers with as many tokens as `x-tokens` says, one each 20 ms where the body asks for a stream."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b'{"models":[]}', "application/json")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tokens = int(self.headers["x-tokens"] or 0)
        prompt = int(self.headers["x-prompt"] or PROMPT)
        count = {"total_duration": 1, "prompt_eval_count": prompt, "eval_count": tokens}
        if not asked["stream"]:
            time.sleep(tokens / 200)
            usage = {"prompt_tokens": PROMPT, "completion_tokens": tokens}
            said = {"choices": [], "usage": usage} if self.path == CHAT else {"done": True, **count}
            self._answer(json.dumps(said, separators=(",", ":")).encode(), "application/json")
            return
        self.send_response(200)
        openai = self.path == CHAT
        self.send_header("Content-Type", "text/event-stream" if openai else "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        part = (
            'data: {"object":"chat.completion.chunk","choices":[{"delta":{"content":"one"},"index":0}]}\n\n'
        )
        last = "data: [DONE]\n\n"
        if not openai:
            part = '{"model":"chat","created_at":"2026-11-29T12:00:00.1Z","response":"one","done":false}\n'
            last = json.dumps({"done": True, **count}, separators=(",", ":")) + "\n"
        for text in (*[part] * tokens, last, ""):
            self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
            time.sleep(0.02)

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Models(ThreadingHTTPServer):
    """The stand-in, whose clients may go."""

    def handle_error(self, *_: Any) -> None:
        """Quiet."""


class Host:
    """A host's folder of budgets, its keeper, and its gateway."""

    def __init__(self, program: Path, folder: Path, model: int) -> None:
        self._program, self._folder, self._model = program, folder, model
        self._keeper: subprocess.Popen[bytes] | None = None
        self.log, self.sums = folder / "log", folder / "sums"
        self.sums.mkdir()
        (folder / "keeper").write_bytes(wanted().generation.files["budgets/keeper.sh"].content)

    @contextmanager
    def serving(self) -> Iterator[Gateway]:
        """Run the gateway."""
        folder = self._folder / "gateway"
        folder.mkdir(exist_ok=True)
        with gateway.serving(
            self._program, folder, lock(), secrets=SECRETS, instead=self._model, adapt=self._adapt
        ) as found:
            yield found

    def _adapt(self, configuration: dict[str, Any]) -> None:
        (listener,) = configuration["static_resources"]["listeners"]
        http = listener["filter_chains"][0]["filters"][0]["typed_config"]
        (log,) = (each for each in http["access_log"] if "path" in each["typed_config"])
        log["typed_config"]["path"] = str(self.log)
        (budget,) = (each for each in http["http_filters"] if each["name"] == "budget")
        code = budget["typed_config"]["default_source_code"]
        assert USED in code["inline_string"]
        code["inline_string"] = code["inline_string"].replace(USED, str(self.sums / "used"))

    def keep(self) -> None:
        """Run the keeper."""
        self._keeper = subprocess.Popen(["bash", self._folder / "keeper", "count", self.log, self.sums])
        self.until(self.sums / "used")

    def kill(self) -> None:
        """Kill the keeper, and have what it said last be as old as it will be a while later."""
        assert self._keeper is not None
        self._keeper.kill()
        self._keeper.wait()
        used = self.sums / "used"
        now, _, rest = used.read_text().partition("\n")
        used.write_text(f"now {int(now.split()[1]) - 20}\n{rest}")

    def stop(self) -> None:
        """Stop the keeper as Docker does."""
        if self._keeper and self._keeper.poll() is None:
            self._keeper.terminate()
            assert self._keeper.wait(5) == 0

    def until(self, path: Path) -> None:
        """Wait for a file."""
        end = time.monotonic() + _PATIENCE_S
        while not path.exists():
            assert time.monotonic() < end, path
            time.sleep(0.05)

    def used(self, client: str) -> int:
        """Tokens of the month."""
        found = [line.split() for line in (self.sums / "used").read_text().splitlines()]
        return sum(int(line[3]) for line in found if line[0] == client)

    def counted(self, client: str, more_than: int) -> int:
        """Wait until more has been counted."""
        end = time.monotonic() + _PATIENCE_S
        while (used := self.used(client)) <= more_than:
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)
        return used


@pytest.fixture(scope="module")
def host(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Models(("127.0.0.1", 0), Model) as model:
        threading.Thread(target=model.serve_forever, args=(0.05,), daemon=True).start()
        found = Host(envoy_program, tmp_path_factory.mktemp("host"), model.server_address[1])
        yield found
        found.stop()
        model.shutdown()


@pytest.fixture(scope="module")
def running(host: Host) -> Iterator[Gateway]:
    with host.serving() as found:
        assert ask(found, "alice").status_code == 503  # nobody has ever counted here
        host.keep()
        yield found


def ask(
    of: Gateway, client: str, tokens: int = 5, path: str = GENERATE, *, stream: bool = False
) -> requests.Response:
    body = {"model": ROLE, "stream": stream, "prompt": "x" * 30}
    return of.ask("POST", path, client, json=body, headers={"x-tokens": str(tokens)})


def spend(of: Gateway, client: str) -> None:
    """Ask until the budget is used up."""
    end = time.monotonic() + _PATIENCE_S
    while ask(of, client, 90).status_code == 200:
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_used_up_budget_ends_what_the_client_may_ask(host: Host, running: Gateway) -> None:
    for client, period in (("alice", "day"), ("carol", "month")):
        answers = [ask(running, client, 90) for _ in range(2)]  # the second before the first is counted
        assert [answer.status_code for answer in answers] == [200, 200]
        assert host.counted(client, 199) == 200
        for path in (GENERATE, CHAT, MESSAGES):
            refused = ask(running, client, path=path)
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 31 * 86400
            said = message_of(refused, path)
            assert said.startswith(
                f"tokens: client {client} has used 200 of its 100 a {period} on this host."
            )
        assert ask(running, client, path=CHAT).json()["error"]["code"] == "insufficient_quota"
        assert running.ask("GET", "/api/tags", client).status_code == 200
    assert ask(running, "bob", 90).status_code == 200
    assert host.used("bob") == 0


def test_a_round_number_of_tokens_counts_as_any_other(host: Host, running: Gateway) -> None:
    """Envoy itself writes the number 100000 as 1e+05."""
    used, body = host.used("dave"), {"model": ROLE, "stream": False, "prompt": "x"}
    running.ask("POST", GENERATE, "dave", json=body, headers={"x-prompt": "100000"})
    assert host.counted("dave", used + 99_999) == used + 100_000


def test_a_used_up_minute_is_told_from_a_used_up_day(running: Gateway) -> None:
    spend(running, "erin")
    refused = ask(running, "erin", path=CHAT)  # a new minute may have begun
    if refused.status_code == 200:
        spend(running, "erin")
        refused = ask(running, "erin", path=CHAT)
    assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert " of its 100 a minute on this host. " in message_of(refused, CHAT)


def test_a_stream_that_is_broken_off_is_not_free(host: Host, running: Gateway) -> None:
    used = host.used("dave")
    body = {"model": ROLE, "stream": True, "prompt": "x" * 300}
    url, headers = (
        f"https://localhost:{running.port}",
        {"Authorization": "Bearer dave-key", "x-tokens": "500"},
    )
    for path, tokens in ((GENERATE, 20), (CHAT, 20)):
        with requests.post(
            f"{url}{path}",
            json=body,
            headers=headers,
            verify=str(running.certificate),
            stream=True,
            timeout=30,
        ) as answer:
            for _, _line in zip(range(2 * tokens), answer.iter_lines(), strict=False):
                pass
        used = host.counted("dave", used + 300 // 3 + tokens)
    whole = ask(running, "dave", 40, CHAT, stream=True)
    assert whole.text.endswith("[DONE]\n\n")
    used = host.counted("dave", used + 10 + 40)
    # nothing of an answer comes before all of it
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{url}{GENERATE}",
            json={**body, "stream": False},
            headers=headers,
            verify=str(running.certificate),
            timeout=2,
        )
    host.counted("dave", used + 300 // 3 + 7)


def test_while_nobody_counts_clients_with_a_budget_wait_and_no_other(host: Host, running: Gateway) -> None:
    assert ask(running, "dave").status_code == 200
    used = host.counted("dave", host.used("dave"))
    said = (host.sums / "used").read_text()
    torn = (said[:-4], said.replace(f"{used}\n", "\n"), said.replace("day", "days"), "now")
    host.kill()
    for damaged in (None, *torn, ""):
        if damaged is not None:
            (host.sums / "used").write_text(damaged)
        refused = ask(running, "dave", path=CHAT)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert message_of(refused, CHAT).startswith(
            "tokens: cannot be counted now, and client dave has a budget."
        )
        assert ask(running, "bob").status_code == 200
    (host.sums / "used").unlink()
    assert ask(running, "dave").status_code == 503
    host.keep()
    assert host.used("dave") == used
    assert ask(running, "dave").status_code == 200
    host.counted("dave", used)


def test_sums_last_over_a_restart_of_either(host: Host, running: Gateway) -> None:
    used = host.used("dave")
    assert ask(running, "dave", 7).status_code == 200
    spend(running, "alice")
    host.stop()
    host.keep()
    assert host.counted("dave", used) == used + 17
    assert ask(running, "alice").status_code == 429
    with host.serving() as other:
        assert ask(other, "alice").status_code == 429
        assert ask(other, "dave", 7).status_code == 200
    assert host.counted("dave", used + 17) == used + 34
