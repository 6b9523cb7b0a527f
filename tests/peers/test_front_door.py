"""The front door by the real Envoy, before real gateways: whom it asks, and what of hosts that fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from sealift.host.client_inputs import UNSENT_HEADER
from sealift.host.judged import judged
from sealift.live.drain import parse_running, parse_sick
from sealift.services import FRONT, HOSTS
from sealift.site.secrets import Secrets
from tests.peers.fleet import FrontDoor, front_door
from tests.peers.gateway import ROLE, keys_of, message_of
from tests.peers.stand_in import Ollama

CHAT: tuple[str, dict[str, Any]] = ("/api/chat", {"model": ROLE})
EMBED: tuple[str, dict[str, Any]] = ("/api/embed", {"model": "embed"})
# Beyond what a connection buffers.
LARGE: tuple[str, dict[str, Any]] = ("/api/chat", {"model": ROLE, "images": ["A" * 500_000]})


@pytest.fixture(scope="module")
def door(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    """Three hosts: one role, two roles, and one whose certificate is for another name."""
    hosts = {"h1": (ROLE,), "h2": (ROLE, "embed"), "h3": (ROLE, "embed")}
    with front_door(
        envoy_program, tmp_path_factory.mktemp("fleet"), hosts, other={"h3": {"certificate_of": "h4"}}
    ) as found:
        yield found


def _ask(door: FrontDoor, call: tuple[str, dict[str, Any]], **headers: str) -> requests.Response:
    return door.asked.ask("POST", call[0], json=call[1], headers=headers)


def _new(door: FrontDoor, before: dict[str, int]) -> Counter[str]:
    """The calls that each host has got since."""
    return Counter(door.calls()) - Counter(before)


def test_a_host_is_asked_only_for_roles_that_it_serves_and_only_where_its_certificate_is_its_own(
    door: FrontDoor,
) -> None:
    before = door.calls()
    assert {_ask(door, EMBED).status_code for _ in range(20)} == {200}
    assert _new(door, before) == {"h2": 20}
    before = door.calls()
    assert {door.asked.ask("GET", "/v1/models/embed").status_code for _ in range(10)} == {200}
    assert _new(door, before) == {"h2": 10}
    assert door.asked.ask("GET", "/v1/models/elsewhere").status_code == 404
    before = door.calls()
    assert {door.asked.ask("GET", "/v1/models").status_code for _ in range(40)} == {200}
    assert _new(door, before).keys() == {"h1", "h2"} and parse_sick(door.envoy.says("/clusters")) == {"h3"}


def test_whoever_has_the_fewest_requests_gets_the_next(door: FrontDoor) -> None:
    before = door.calls()
    with ThreadPoolExecutor(12) as pool:
        for _ in range(12):
            pool.submit(_ask, door, CHAT, **{"x-wait": "1.5"})
            time.sleep(0.02)
        assert 1 <= _running(door) <= 12
    assert _running(door) == 0
    shares = _new(door, before)
    assert shares.total() == 12 and min(shares["h1"], shares["h2"]) >= 3


def _running(door: FrontDoor) -> int:
    said = door.envoy.says("/clusters")
    return sum(parse_running("door", said, ("h1", "h2")).values())


def test_the_log_names_client_role_and_host_and_never_tokens(door: FrontDoor) -> None:
    log = door.envoy.folder / "log"
    assert _ask(door, EMBED).status_code == 200
    end = time.monotonic() + 15
    while '"role":"embed"' not in log.read_text() and time.monotonic() < end:
        time.sleep(0.2)
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"role":"embed"' in line]
    assert {(line["client"], line["host"], line["status"]) for line in lines} == {("alice", "h2", 200)}
    assert not any("tokens_in" in line for line in lines) and "alice-key" not in log.read_text()


def test_its_image_judges_it_in_order(door: FrontDoor, envoy_program: Path, tmp_path: Path) -> None:
    (tmp_path / "judged.json").write_bytes(judged(door.generation(), FRONT))
    command = (envoy_program, "--mode", "validate", "--config-path", tmp_path / "judged.json")
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_health_needs_no_key(door: FrontDoor) -> None:
    assert door.asked.ask("GET", "/healthz", None).status_code == 200


class Traffic:
    """Requests at a constant rate, on old and new connections, and streams, until told to stop."""

    def __init__(self, door: FrontDoor) -> None:
        self._door, self._stop = door, threading.Event()
        self.requests: list[str] = []
        self.streams: list[str] = []

    def _short(self) -> None:
        while not self._stop.wait(0.02):
            self.requests.append(self._come(lambda: str(_ask(self._door, CHAT).status_code)))

    def _long(self) -> None:
        while not self._stop.is_set():
            self.streams.append(
                self._come(lambda: _ask(self._door, CHAT, **{"x-parts": "12"}).text.splitlines()[-1])
            )

    @staticmethod
    def _come(of: Any) -> str:
        try:
            return str(of())
        except (requests.RequestException, IndexError) as error:
            return repr(error)

    @contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [threading.Thread(target=each) for each in (self._short, *[self._long] * 4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()


def test_draining_and_every_change_costs_no_request_and_no_stream(door: FrontDoor) -> None:
    traffic = Traffic(door)
    with traffic.flowing():
        for _ in range(3):
            came = door.calls()
            time.sleep(0.4)
            door.change(HOSTS, h1={"drained": True})
            drained = door.calls()
            time.sleep(0.8)
            assert _new(door, came)["h1"] > 0
            new = _new(door, drained)
            assert new["h1"] <= 1 and new["h2"] > 0  # one may have been on its way
            door.change(HOSTS, h1={"drained": False})
            door.renew()
        time.sleep(0.4)
        door.without("h1")
        gone = door.calls()
        time.sleep(0.8)
        assert _new(door, gone)["h1"] <= 1
    assert Counter(traffic.requests) == {"200": len(traffic.requests)} and len(traffic.requests) > 20
    assert Counter(traffic.streams) == {'{"done": true}': len(traffic.streams)}


@contextmanager
def _instead(handler: type[Ollama]) -> Iterator[int]:
    """Another stand-in of Ollama. Gives its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.calls = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Full(Ollama):
    """A host whose queue is full."""

    def answer(self) -> None:
        if self.command == "GET":
            super().answer()
            return
        self.send_response(503)
        self.send_header(UNSENT_HEADER, "1")
        self.send_header("Retry-After", "5")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Broken(Ollama):
    """Ollama whose runner has died: it lives, and answers nothing."""

    seen = 0

    def answer(self) -> None:
        if self.command == "GET":
            super().answer()
            return
        type(self).seen += 1
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Cutting(Ollama):
    """Takes a request and hangs up."""

    seen = 0

    def answer(self) -> None:
        if self.command == "GET":
            super().answer()
            return
        type(self).seen += 1
        self.close_connection = True


def _flags(door: FrontDoor, flag: str) -> int:
    return door.envoy.says("/clusters").count(flag)


def test_a_full_host_is_passed_over_and_when_all_are_the_client_learns_when_to_ask_again(
    envoy_program: Path, tmp_path: Path
) -> None:
    with _instead(Full) as port:
        hosts, other = {"h1": (ROLE,), "h2": (ROLE, "embed"), "h3": (ROLE, "embed")}, {"instead": port}
        with front_door(envoy_program, tmp_path, hosts, other={"h2": other, "h3": other}) as door:
            answers = {_ask(door, call).status_code for call in (CHAT, LARGE) for _ in range(15)}
            assert answers == {200}
            full = _ask(door, EMBED)
            assert (full.status_code, full.headers["retry-after"]) == (503, "5")
            assert _flags(door, "failed_outlier_check") == 0  # full is not broken


def test_the_room_of_all_queues_is_used_first(envoy_program: Path, tmp_path: Path) -> None:
    one = Secrets.model_construct(api_keys={"alice": keys_of("alice", streams=1)})
    hosts = {"h1": (ROLE,), "h2": (ROLE,)}
    with front_door(envoy_program, tmp_path, hosts, secrets=one, queue=1) as door:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: _ask(door, CHAT, **{"x-wait": "1"}), range(16)))
        refused = [each for each in answers if each.status_code != 200]
        assert len(answers) - len(refused) >= 4  # on each host one in work and one that waits
        assert {(each.status_code, each.headers["retry-after"]) for each in refused} == {(503, "5")}
        message_of(refused[0], CHAT[0])  # one id, the front door's, in the host's own words
        assert {each.headers[UNSENT_HEADER] for each in refused} == {"1"}
        assert min(door.calls().values()) >= 2 and _flags(door, "failed_outlier_check") == 0


def test_while_the_ollama_of_a_host_is_down_another_host_answers(envoy_program: Path, tmp_path: Path) -> None:
    with ExitStack() as up:
        other = {"instead": up.enter_context(_instead(Ollama))}
        with front_door(envoy_program, tmp_path, {"h1": (ROLE,), "h2": (ROLE,)}, other={"h1": other}) as door:
            up.close()
            time.sleep(1.5)  # until the gateway has closed its idle connections
            assert {_ask(door, CHAT).status_code for _ in range(12)} == {200}
            assert "healthy" in door.envoy.says("/clusters")  # its gateway has not noticed yet
            assert len(door.hosts["h2"].calls) == 12


def test_only_failing_leaves_a_host_out_but_never_more_than_half(envoy_program: Path, tmp_path: Path) -> None:
    Broken.seen = 0
    with _instead(Broken) as port:
        hosts = {"h1": (ROLE,), "h2": (ROLE, "embed")}
        with front_door(envoy_program, tmp_path, hosts, other={"h2": {"instead": port}}) as door:
            statuses = Counter(_ask(door, CHAT).status_code for _ in range(60))
            assert statuses.keys() == {200, 500}
            assert Broken.seen == statuses[500] < 15  # none was sent twice
            assert {_ask(door, CHAT).status_code for _ in range(10)} == {200}
            assert _flags(door, "failed_outlier_check") == 1
            gone = _ask(door, EMBED)
            assert (gone.status_code, gone.headers["retry-after"]) == (503, "5")
            assert message_of(gone, EMBED[0]).startswith("host: none that could answer this does.")


def test_what_a_host_may_have_begun_is_not_sent_again(envoy_program: Path, tmp_path: Path) -> None:
    Cutting.seen = 0
    with _instead(Cutting) as port:
        other = {"instead": port}
        hosts = {"h1": (ROLE,), "h2": (ROLE,)}
        with front_door(envoy_program, tmp_path, hosts, other={"h1": other, "h2": other}) as door:
            assert _ask(door, CHAT).status_code == 503
            assert Cutting.seen == 1


def test_of_a_host_that_dies_only_the_streams_in_flight_are_lost(envoy_program: Path, tmp_path: Path) -> None:
    with front_door(envoy_program, tmp_path, {"h1": (ROLE,), "h2": (ROLE,)}) as door:
        traffic = Traffic(door)
        with traffic.flowing():
            time.sleep(0.5)
            os.kill(door.hosts["h1"].process, signal.SIGKILL)
            time.sleep(1.5)
        lost = [each for each in traffic.streams if each != '{"done": true}']
        assert 1 <= len(lost) <= 4 and len(traffic.streams) > len(lost)
        # a short one that was with the host in that moment is lost as well
        failed = [each for each in traffic.requests if each != "200"]
        assert len(failed) <= 1 and len(traffic.requests) > 5
