"""Many requests of one client at once, by the real Envoy with the files of a host: who waits, and for whom.

What stands for Ollama answers one request at a time, in the order in which they came, and ends none until the
test lets it. So nothing here depends on how quick a machine is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from sealift.host.client_inputs import CLIENT_HEADER
from sealift.site.secrets import ClientKeys, Secrets
from tests.peers.gateway import ROLE, Gateway, keys_of, message_of
from tests.peers.live_host import Host

FLOODING, OTHER, LATE = "ollama", "bob", "carol"  # a client may have any name
REQUESTS, QUEUE, WORKERS = 50, 8, 2
FORMS = ("/api/chat", "/v1/chat/completions", "/v1/messages")
_PATIENCE_S = 30
_DONE = '{"done":true,"total_duration":1,"prompt_eval_count":1,"eval_count":1,"eval_duration":1}\n'


class Slot(ThreadingHTTPServer):
    """Ollama with one slot.

    + line: whose requests it has, in their order; the first is being answered
    + opened: whether answers end
    """

    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.line: list[list[str]] = []
        self.opened = False
        self.changed = threading.Condition()

    def open(self) -> None:
        """Have answers end, one after another."""
        with self.changed:
            self.opened = True
            self.changed.notify_all()

    def clients(self) -> list[str]:
        """Whose requests it has."""
        with self.changed:
            return [client for (client,) in self.line]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Slot

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == "/api/show":
            self.do_GET()
            return
        slot, own = self.server, [self.headers[CLIENT_HEADER]]
        with slot.changed:
            slot.line.append(own)
            slot.changed.wait_for(lambda: slot.line[0] is own)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._write('{"done":false}\n')
        with slot.changed:
            slot.changed.wait_for(lambda: slot.opened)
            slot.line.pop(0)
            slot.changed.notify_all()
        self._write(_DONE)
        self._write("")

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b'{"models":[]}')

    def _write(self, text: str) -> None:
        with suppress(BrokenPipeError):
            self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def _slot(folder: Path) -> Iterator[tuple[Slot, Host]]:
    with Slot() as slot:
        threading.Thread(target=slot.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield slot, Host(folder, slot.server_address[1])
        finally:
            slot.open()
            slot.shutdown()


def _secrets(**clients: ClientKeys) -> Secrets:
    return Secrets.model_construct(api_keys=clients)


def _flood(gateway: Gateway, pool: ThreadPoolExecutor) -> list[Future[requests.Response]]:
    """All at once, in each form of asking; somebody else's name helps nothing."""
    return [
        pool.submit(_ask, gateway, FLOODING, FORMS[number % len(FORMS)], forged=OTHER)
        for number in range(REQUESTS)
    ]


def _ask(gateway: Gateway, client: str, path: str = FORMS[0], forged: str = "") -> requests.Response:
    headers = {CLIENT_HEADER: forged} if forged else {}
    return gateway.ask("POST", path, client, json={"model": ROLE}, headers=headers)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def _ended(answer: requests.Response) -> bool:
    return answer.status_code == requests.codes.ok and answer.text.endswith(_DONE)


def test_who_floods_waits_for_itself_and_others_at_most_two_turns(
    tmp_path: Path, envoy_program: Path
) -> None:
    with _slot(tmp_path) as (slot, host), ThreadPoolExecutor(REQUESTS + 1) as pool:
        both = _secrets(**{FLOODING: keys_of(FLOODING), OTHER: keys_of(OTHER)})
        with host.running(envoy_program, host.generation(both, queue=QUEUE), WORKERS) as gateway:
            asked = _flood(gateway, pool)
            # Each worker has one connection at least.
            taken = range(QUEUE + 1, QUEUE + WORKERS + 1)
            _until(lambda: len(asked) - sum(each.done() for each in asked) in taken)
            other = pool.submit(_ask, gateway, OTHER)
            _until(lambda: OTHER in slot.clients())
            assert slot.clients().index(OTHER) <= WORKERS
            assert set(slot.clients()) == {FLOODING, OTHER}
            # What costs nothing goes on.
            assert gateway.ask("GET", "/api/tags", FLOODING).status_code == 200
            assert _ask(gateway, FLOODING, "/api/show").status_code == 200
            assert gateway.ask("GET", "/healthz", None).status_code == 200
            slot.open()
            answers = [each.result() for each in asked]
            assert _ended(other.result())
    refused = [answer for answer in answers if not _ended(answer)]
    assert len(answers) - len(refused) in taken
    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        said = message_of(answer, answer.request.path_url)
        assert said.startswith("client: has as many requests waiting as it may.")


def test_a_client_that_changes_comes_or_goes_cuts_no_answer_and_loses_nothing_that_waits(
    tmp_path: Path, envoy_program: Path
) -> None:
    with _slot(tmp_path) as (slot, host), ThreadPoolExecutor(2 * REQUESTS) as pool:
        first = host.generation(_secrets(**{FLOODING: keys_of(FLOODING), OTHER: keys_of(OTHER)}))
        with host.running(envoy_program, first, WORKERS) as gateway:
            asked = [pool.submit(_ask, gateway, FLOODING)]
            _until(lambda: slot.clients() == [FLOODING])
            asked += [pool.submit(_ask, gateway, FLOODING) for _ in range(QUEUE)]
            _until(lambda: host.waiting(FLOODING) + len(slot.clients()) == len(asked))
            changed = {FLOODING: keys_of(FLOODING, streams=4), OTHER: keys_of(OTHER), LATE: keys_of(LATE)}
            second = host.generation(_secrets(**changed))
            host.place(second)
            host.takes(second)
            late = pool.submit(_ask, gateway, LATE)
            _until(lambda: LATE in slot.clients())
            more = [pool.submit(_ask, gateway, FLOODING) for _ in range(4)]
            _until(lambda: slot.clients().count(FLOODING) >= 4)
            third = host.generation(_secrets(**{OTHER: keys_of(OTHER)}))
            host.place(third)
            host.takes(third)
            assert _ask(gateway, FLOODING).status_code == requests.codes.unauthorized
            assert not any(each.done() for each in (*asked, *more, late))
            slot.open()
            assert all(_ended(each.result()) for each in (*asked, *more, late))
            assert _ended(_ask(gateway, OTHER))


@pytest.mark.parametrize("streams", [1, 3])
def test_a_client_has_as_many_requests_in_work_as_it_may(
    tmp_path: Path, envoy_program: Path, streams: int
) -> None:
    """By one worker, which has no connection beyond."""
    with _slot(tmp_path) as (slot, host), ThreadPoolExecutor(REQUESTS) as pool:
        one = host.generation(_secrets(**{FLOODING: keys_of(FLOODING, streams=streams)}), queue=2)
        with host.running(envoy_program, one) as gateway:
            asked = []
            for _ in range(streams):  # one by one: who is just getting a connection counts as waiting
                asked.append(pool.submit(_ask, gateway, FLOODING))
                _until(lambda: len(slot.clients()) == len(asked))
            asked += [pool.submit(_ask, gateway, FLOODING) for _ in range(2)]
            _until(lambda: host.waiting(FLOODING) == 2)
            assert _ask(gateway, FLOODING).status_code == requests.codes.service_unavailable
            assert len(slot.clients()) == streams
            slot.open()
            assert all(_ended(each.result()) for each in asked)
