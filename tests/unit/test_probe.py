"""The probe of roles before a gateway that answers whatever a test says, over TLS."""

from __future__ import annotations

import http.server
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from templates.probe import probe as script
from templates.probe.configuration import Configuration
from templates.probe.probe import Gpus, Probe, runtime_memory
from tests.peers.gateway import pair
from tests.probe import KEY, Told, configure
from tests.unit.test_probe_said import EMBEDDED, H200, LAST, PS, STATUS, TAGS

FIRST = b'{"message":{"role":"assistant","content":"one"},"done":false}\n'
Answer = tuple[int, dict[str, str], list[bytes]]
GOOD: dict[str, Answer] = {
    "/api/ps": (200, {}, [PS]),
    "/api/tags": (200, {}, [TAGS]),
    "/api/chat": (200, {}, [FIRST, LAST]),
    "/api/embed": (200, {}, [EMBEDDED]),
}
FOREIGN = "what somebody else said"


class _Gateway(http.server.BaseHTTPRequestHandler):
    """Answers by path, its parts a fifth of a second apart."""

    answers: dict[str, Answer]
    keys: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.keys.append(self.headers["Authorization"])
        status, headers, parts = self.answers[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for number, part in enumerate(parts):
            time.sleep(0.2 if number else 0)
            self.wfile.write(part)
            self.wfile.flush()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Site:
    """A gateway, and what a probe is told of it."""

    def __init__(self, folder: Path, port: int, ca: Path) -> None:
        self.folder, self.port, self.ca = folder, port, ca
        self.answers = _Gateway.answers

    def probe(self, **more: object) -> tuple[Probe, Told]:
        """A probe, and what it tells."""
        roles = {"chat": {"objectives": {"answer": 3.0}}, "embed": {"kind": "embed"}}
        path = configure(self.folder, self.port, self.ca, roles, **{"timeout_s": 2, **more})
        return Probe(Configuration.read(path)), Told(self.folder)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    certificate, _ = pair(tmp_path)
    _Gateway.answers, _Gateway.keys = dict(GOOD), []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "tls.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Gateway) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that goes away
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Site(tmp_path, server.server_address[1], certificate)
        server.shutdown()


def test_roles_that_answer_are_up(site: Site) -> None:
    probe, told = site.probe()
    probe.round()
    assert told.value("role_up", role="chat", model="gemma3:270m") == told.value("role_up", role="embed") == 1
    assert told.value("role_degraded", role="chat") == 0
    first, answer = (told.value(f"role_{of}_seconds", role="chat") for of in ("first_token", "answer"))
    assert first is not None and answer is not None
    assert answer - first > 0.1  # the gateway sends the second part a fifth of a second later
    assert told.value("role_tokens_per_second", role="chat") == 16
    assert told.value("role_load_seconds", role="embed") == 0.0010195
    assert told.value("role_first_token_seconds", role="embed") is None
    assert told.value("role_tokens_per_second", role="embed") is None
    assert told.value("role_missing", role="chat") == 0
    assert told.value("role_missing", role="embed") == 1
    assert told.value("model_vram_bytes", name="chat") == 620599808
    assert told.value("objective", role="chat", objective="answer") == 3
    assert told.value("runtime_memory_limit_bytes") == 8 << 30
    assert told.value("release_info", release="demo:2026.11.0") == 1
    assert told.value("gpu_wanted") == 0
    assert told.value("gpu_up") is None
    assert told.value("probe_run_seconds") is not None
    ends = told.value("certificate_expiry_timestamp_seconds")
    assert ends is not None
    assert abs(ends - time.time() - 86400) < 3600  # it holds for a day
    assert set(_Gateway.keys) == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("answer", "outcome", "up"),
    [
        ((429, {"Retry-After": "1"}, [b"{}"]), "refused", 1),
        ((503, {}, [b'{"error":"server busy"}']), "refused", 1),
        ((503, {"Retry-After": "5"}, [b"{}"]), "failed", 0),
        ((401, {}, [b"{}"]), "failed", 0),
        ((500, {}, [b"{}"]), "failed", 0),
        ((302, {"Location": "https://elsewhere/"}, [b""]), "failed", 0),
        ((200, {}, [b""]), "failed", 0),
        ((200, {}, [FIRST]), "failed", 0),
        ((200, {}, [b"<html>" + FOREIGN.encode()]), "failed", 0),
        ((200, {}, [b" " * 5_000_000]), "failed", 0),
        ((200, {"Content-Length": "100000"}, [FIRST]), "failed", 0),
        ((200, {"Transfer-Encoding": "chunked"}, [b"xyz\r\n"]), "failed", 0),
        ((200, {}, [b"x"] * 20), "timeout", 0),
    ],
)
def test_what_is_no_answer_stands_in_the_file(
    site: Site, answer: Answer, outcome: str, up: int, capsys: pytest.CaptureFixture[str]
) -> None:
    probe, told = site.probe()
    probe.round()
    site.answers["/api/chat"] = answer
    probe.round()
    assert told.value("role_up", role="chat") == up
    assert told.value("role_up", role="embed") == 1
    assert told.value("probe_requests_total", role="chat", outcome=outcome) == 1
    assert told.value("role_answer_seconds", role="chat") is None
    said = capsys.readouterr().out
    assert f"chat: {outcome}" in said
    assert FOREIGN not in told.path.read_text() + said
    assert KEY not in told.path.read_text() + said


def test_a_slow_answer_is_degraded_and_a_refusal_leaves_it_so(site: Site) -> None:
    probe, told = site.probe(degraded_s=0.15)
    probe.round()
    assert (told.value("role_up", role="chat"), told.value("role_degraded", role="chat")) == (1, 1)
    site.answers["/api/chat"] = (429, {}, [b""])
    probe.round()
    assert (told.value("role_up", role="chat"), told.value("role_degraded", role="chat")) == (1, 1)
    site.answers["/api/chat"] = (200, {}, [LAST])
    probe.round()
    assert (told.value("role_up", role="chat"), told.value("role_degraded", role="chat")) == (1, 0)


def test_a_role_that_does_nothing_but_refuse_is_down_until_it_answers(site: Site) -> None:
    probe, told = site.probe()
    probe.round()
    site.answers["/api/chat"] = (503, {}, [b'{"error":"server busy"}'])
    for refusals in range(1, 7):
        probe.round()
        assert told.value("role_up", role="chat") == (1 if refusals < 5 else 0)
    assert told.value("role_degraded", role="chat") == 0
    site.answers["/api/chat"] = GOOD["/api/chat"]
    probe.round()
    site.answers["/api/chat"] = (503, {}, [b'{"error":"server busy"}'])
    probe.round()
    assert told.value("role_up", role="chat") == 1


def test_a_host_without_roles_tells_when_its_certificate_ends(site: Site) -> None:
    path = configure(site.folder, site.port, site.ca, {})
    Probe(Configuration.read(path)).round()
    assert Told(site.folder).value("certificate_expiry_timestamp_seconds") is not None


def test_what_waits_for_its_model_is_not_slow_and_has_its_time(site: Site) -> None:
    loaded = LAST.replace(b'"load_duration":41234567', b'"load_duration":100000000000')
    site.answers["/api/chat"] = (200, {}, [*[FIRST] * 6, loaded])  # more than a second
    site.answers["/api/ps"] = (200, {}, [b'{"models":[]}'])
    probe, told = site.probe(timeout_s=1, degraded_s=0.1)
    probe.round()
    assert (told.value("role_up", role="chat"), told.value("role_degraded", role="chat")) == (1, 0)
    assert told.value("role_load_seconds", role="chat") == 100
    site.answers["/api/ps"] = GOOD["/api/ps"]  # where its model is in memory, it has one second
    probe.round()
    assert told.value("role_up", role="chat") == 0


@pytest.mark.parametrize("path", ["/api/ps", "/api/tags"])
def test_a_list_that_does_not_come_leaves_the_roles(site: Site, path: str) -> None:
    probe, told = site.probe()
    probe.round()
    site.answers[path] = (500, {}, [b""])
    probe.round()
    assert told.value("role_missing", role="chat") is None
    assert told.value("role_up", role="chat") == 1


def test_nobody_else_is_believed(site: Site) -> None:
    probe, told = site.probe(host="another")
    probe.round()
    assert told.value("role_up", role="chat") == told.value("role_up", role="embed") == 0
    assert told.value("certificate_expiry_timestamp_seconds") is None
    assert _Gateway.keys == []


def test_the_file_is_there_whole_for_whoever_reads(site: Site) -> None:
    probe, told = site.probe()
    probe.round()
    assert told.path.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in told.path.parent.iterdir()] == [told.path.name]


def test_memory_of_ollama_in_containers_is_summed_up(tmp_path: Path) -> None:
    for number, name, status in (
        (1, "systemd", STATUS),
        (7, "ollama", STATUS),
        (8, "llama-server", STATUS),
        (9, "ollama", STATUS.replace("\t1\n", "\n")),
    ):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/comm").write_text(f"{name}\n")
        (tmp_path / f"{number}/status").write_text(status)
    (tmp_path / "10").mkdir()  # has ended
    assert runtime_memory(tmp_path) == 2 * 735000 * 1024
    assert runtime_memory(tmp_path / "7") is None


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def place(text: str) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return place


def test_a_gpu_is_up_where_nvidia_smi_lists_it(nvidia_smi: Callable[[str], None], site: Site) -> None:
    query = "index,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"
    nvidia_smi(f'[ "$*" = "--query-gpu={query} --format=csv,noheader,nounits" ] && echo "{H200.strip()}"')
    probe, told = site.probe(gpu=True)
    probe.round()
    assert (told.value("gpu_wanted"), told.value("gpu_up")) == (1, 1)
    assert told.value("gpu_power_watts", gpu="0", name="NVIDIA H200") == 76.41
    nvidia_smi("echo No devices were found; exit 6")
    probe.round()
    assert (told.value("gpu_wanted"), told.value("gpu_up")) == (1, 0)
    assert told.value("gpu_power_watts", gpu="0") is None
    assert told.value("role_up", role="chat") == 1


def test_without_nvidia_smi_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert Gpus().look() == ()


def test_an_nvidia_smi_that_hangs_is_not_waited_for_nor_started_again(
    nvidia_smi: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "_NVIDIA_SMI_S", 0.2)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _: None)  # as in the kernel, where no signal arrives
    nvidia_smi(f"echo >>{tmp_path}/started; while [ ! -e {tmp_path}/end ]; do sleep 0.05; done")
    gpus = Gpus()
    assert gpus.look() == gpus.look() == ()
    assert (tmp_path / "started").read_text() == "\n"
    (tmp_path / "end").touch()
    assert gpus._last is not None
    gpus._last.wait(10)
    nvidia_smi(f'echo "{H200.strip()}"')
    monkeypatch.setattr(script, "_NVIDIA_SMI_S", 10)
    assert [gpu.name for gpu in gpus.look()] == ["NVIDIA H200"]
