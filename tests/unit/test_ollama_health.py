"""Ollama's health check: the script itself, against a stand-in of Ollama on a port of this machine."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.fleet.status import parse_status
from tests.hosts.containers import troubles
from tests.unit.docker_said import failed
from tests.unit.fleet_site import wanted
from tests.unit.test_fleet import STATUS

CRASHED = '{"error":"llama runner process has terminated: signal: killed"}'
HEADER = "NAME           ID              SIZE      PROCESSOR    CONTEXT    UNTIL"


class _Ollama(http.server.BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, object]]]
    answer: Callable[[str], tuple[int, str]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body))
        status, said = type(self).answer(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Check:
    """The health check of a host whose role is chat, in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        script = wanted().generation.files["ollama/health.sh"].content.decode()
        for there, here in (("/tmp", "tmp"), ("/proc", "proc")):  # noqa: S108 - in the container
            assert f"{there}/" in script
            script = script.replace(f"{there}/", f"{folder}/{here}/")
        assert "/11434" in script
        script = script.replace("/11434", f"/{port}")
        self.folder = folder
        (folder / "health.sh").write_text(script)
        (folder / "ollama").write_text(f'#!/bin/sh\ncat "{folder}/ps"\n')
        (folder / "ollama").chmod(0o755)
        (folder / "tmp").mkdir()
        self.lists()

    def lists(self, *names: str, runs: bool = True) -> None:
        """Have `ollama ps` list one model under these names, whose runner runs or has died."""
        lines = [
            HEADER,
            *(f"{name}    6f2cf1f65c16    811 MB    100% CPU    2048    1 hour" for name in names),
        ]
        (self.folder / "ps").write_text("\n".join(lines) + "\n")
        process = self.folder / "proc/7"
        process.mkdir(parents=True, exist_ok=True)
        runner = (
            "ollama\0runner\0--model\0/models/blobs/sha256-abc\0" if names and runs else "ollama\0serve\0"
        )
        (process / "cmdline").write_text(runner)

    def failed(self) -> dict[str, str]:
        """Why roles do not answer, by role, where `status` reads it."""
        paths = (self.folder / "tmp").glob("failed-*")
        return {path.name.removeprefix("failed-"): path.read_text() for path in paths}

    def __call__(self) -> tuple[int, list[str]]:
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        command = ["bash", str(self.folder / "health.sh")]
        ran = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        end = time.monotonic() + 20
        while list((self.folder / "tmp").glob("asked-*")):
            assert time.monotonic() < end
            time.sleep(0.01)
        return ran.returncode, ran.stdout.splitlines()


@pytest.fixture
def check(tmp_path: Path) -> Iterator[Check]:
    _Ollama.asked = []
    _Ollama.answer = lambda _: (200, "{}")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ollama) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Check(tmp_path, server.server_address[1])
        server.shutdown()


def test_a_model_that_is_not_loaded_is_asked_for_one_word(check: Check) -> None:
    assert check() == (0, [])
    (asked,) = _Ollama.asked
    assert asked == (
        "/api/generate",
        {"model": "chat", "prompt": "Hi", "stream": False, "options": {"num_predict": 1}},
    )
    assert check.failed() == {}


def test_a_model_that_is_loaded_is_left_alone(check: Check) -> None:
    check.lists("chat:latest", "gemma3:270m")
    assert check() == (0, [])
    assert _Ollama.asked == []


def test_a_model_whose_runner_has_died_is_not_loaded_and_is_asked(check: Check) -> None:
    check.lists("chat:latest", runs=False)
    assert check() == (0, [])
    assert len(_Ollama.asked) == 1


def test_a_model_that_gives_no_word_is_told_until_it_gives_one(check: Check) -> None:
    _Ollama.answer = lambda _: (500, CRASHED)
    check()
    assert check.failed() == {"chat": f"{CRASHED}\n"}
    check.lists("chat:latest")  # loading goes well, answering does not
    code, said = check()
    assert (code, said) == (1, [f"chat does not answer: {CRASHED}"])
    _Ollama.answer = lambda _: (200, "{}")
    check()
    assert check() == (0, [])
    assert check.failed() == {}


def test_a_model_that_only_embeds_is_asked_for_that(check: Check) -> None:
    cannot = '{"error":"\\"chat\\" does not support generate"}'
    _Ollama.answer = lambda path: (400, cannot) if path == "/api/generate" else (200, "{}")
    assert check() == (0, [])
    assert [path for path, _ in _Ollama.asked] == ["/api/generate", "/api/embed"]
    assert check.failed() == {}


def test_an_ollama_that_has_enough_to_do_has_not_failed(check: Check) -> None:
    _Ollama.answer = lambda _: (503, '{"error":"server busy"}')
    check()
    assert check.failed() == {}


def test_an_ollama_that_does_not_answer_is_not_alive(check: Check) -> None:
    (check.folder / "ollama").write_text("#!/bin/sh\nexit 1\n")
    assert check()[0] == 1
    assert _Ollama.asked == []


def test_the_cause_is_taken_out_of_a_log() -> None:
    log = """\
[GIN] 2026/11/29 - 05:28:23 | 200 |       32.73µs |       127.0.0.1 | HEAD     "/"
SIGILL: illegal instruction
time=2026 level=INFO source=server.go:637 msg="llama runner started in 1.21 seconds"
time=2026 level=ERROR source=server.go:464 msg="llama runner terminated" error="signal: killed"
time=2026 level=WARN source=server.go:1 msg="model request too large for system"
"""
    assert [line.split()[0] for line in troubles(log)] == ["SIGILL:", "time=2026", "time=2026"]


def test_status_tells_why_a_role_does_not_answer() -> None:
    said = (failed("chat", f"{CRASHED} "), failed("embed", ""))
    assert parse_status("h1", "\n".join((*said, STATUS))).failed == {
        "chat": "llama runner process has terminated: signal: killed",
        "embed": "Ollama does not say why",
    }
