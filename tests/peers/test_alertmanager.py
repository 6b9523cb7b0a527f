"""What the demo's Alertmanager makes of our configuration: who is told what, and what follows from worse."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from sealift.host.alert_settings import EmailSettings
from sealift.host.generation import _Renderer
from sealift.host.receivers import Receivers
from sealift.host.wanted import TEMPLATES
from templates.alertlog import alertlog
from tests.peers.registry import free_port
from tests.watch_tools import root

_READY_S = 30
_TOLD_S = 20
# As often as a test wants it; what is checked does not hang on it.
_QUICK = {"group_wait: 10s": "group_wait: 1s", "group_interval: 1m": "group_interval: 2s", ": 20s": ": 2s"}


@dataclass
class Told:
    """Who was told what.

    + hooks: by path, what the webhooks got
    + mails: as they came
    """

    url: str
    folder: Path
    hooks: dict[str, list[dict[str, Any]]]
    mails: list[str]

    def fire(self, *labels: dict[str, str], over: bool = False) -> None:
        """Tell Alertmanager of alerts, as Prometheus does."""
        begun = datetime.now(UTC) - timedelta(minutes=5)
        alerts = [
            {
                "labels": {"severity": "critical", **each},
                "annotations": {
                    "summary": f"{each['alertname']} it is.",
                    "action": "Look.",
                    "runbook": "docs",
                },
                "startsAt": begun.isoformat(),
                **({"endsAt": datetime.now(UTC).isoformat()} if over else {}),
            }
            for each in labels
        ]
        requests.post(f"{self.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """What stands in the log: status, alert, host."""
        path = self.folder / "alerts.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["status"], line["alert"], line["labels"].get("host", "")) for line in found]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of Alertmanager's image."""
    return root("alertmanager", tmp_path_factory.mktemp("alertmanager"))


def _receivers(hooks: int = 9, relay: int = 25) -> Receivers:
    email = EmailSettings(
        to=("a@site.example", "b@site.example"),
        sender="sealift@site.example",
        relay=f"127.0.0.1:{relay}",
        starttls=False,
    )
    hook = f"http://127.0.0.1:{hooks}"
    return Receivers(email, webhook=f"{hook}/hook?token=SECRET", heartbeat=f"{hook}/alive")


def _configuration(receivers: Receivers) -> str:
    return _Renderer(TEMPLATES)("alertmanager/alertmanager.yml.j2", {"receivers": receivers}).decode()


@pytest.fixture
def told(image: Path, tmp_path: Path) -> Iterator[Told]:
    with ExitStack() as stack:
        hooks: dict[str, list[dict[str, Any]]] = {}
        mails: list[str] = []
        log = alertlog.serve(tmp_path, ("127.0.0.1", 0))
        hook = ThreadingHTTPServer(("127.0.0.1", 0), type("Hook", (_Hook,), {"hooks": hooks}))
        relay = socketserver.ThreadingTCPServer(
            ("127.0.0.1", 0), type("Relay", (_Relay,), {"mails": mails}), bind_and_activate=True
        )
        for server in (log, hook, relay):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        text = _configuration(_receivers(hook.server_address[1], relay.server_address[1]))
        for given, quick in {**_QUICK, "alertlog:9095": f"127.0.0.1:{log.server_address[1]}"}.items():
            assert given in text
            text = text.replace(given, quick)
        url = stack.enter_context(_running(image, text, tmp_path))
        yield Told(url, tmp_path, hooks, mails)


@contextmanager
def _running(image: Path, configuration: str, folder: Path) -> Iterator[str]:
    data = f"/{folder.name}"  # as the image's programs see it
    (image / folder.name).mkdir()
    (image / folder.name / "alertmanager.yml").write_text(configuration)
    port = free_port()
    command = [
        *("chroot", str(image), "/bin/alertmanager", f"--config.file={data}/alertmanager.yml"),
        *(f"--storage.path={data}", f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _until(lambda: _answers(f"http://127.0.0.1:{port}/-/ready"), _READY_S)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def _until(done: Callable[[], object], seconds: float = _TOLD_S) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "has not come"
        time.sleep(0.1)


class _Hook(BaseHTTPRequestHandler):
    hooks: dict[str, list[dict[str, Any]]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.hooks.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class _Relay(socketserver.StreamRequestHandler):
    """As much of a mail relay as takes a mail. Source: RFC 5321."""

    mails: list[str]

    def handle(self) -> None:
        self._say("220 relay")
        while line := self.rfile.readline().decode().strip():
            if line.upper() == "DATA":
                self._say("354 go on")
                self.mails.append(self._mail())
            self._say("221 bye" if line.upper() == "QUIT" else "250 relay")

    def _mail(self) -> str:
        lines = []
        while (line := self.rfile.readline().decode()) != ".\r\n":
            lines.append(line)
        return "".join(lines)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


HOST_DOWN = {"alertname": "HostDown", "host": "h2"}
ROLE_DOWN = {"alertname": "RoleDown", "host": "h2", "role": "chat"}


def test_every_receiver_is_told_when_an_alert_begins_and_when_it_ends(told: Told) -> None:
    told.fire(ROLE_DOWN)
    _until(lambda: told.mails)
    _until(lambda: told.hooks.get("/hook?token=SECRET"))
    _until(lambda: told.lines)
    told.fire(ROLE_DOWN, over=True)
    _until(lambda: len(told.lines) == 2)
    _until(lambda: len(told.mails) == 2)
    _until(lambda: len(told.hooks["/hook?token=SECRET"]) == 2)
    assert told.lines == [("firing", "RoleDown", "h2"), ("resolved", "RoleDown", "h2")]
    begun, ended = told.mails
    assert "Subject: FIRING RoleDown (1)" in begun
    assert "To: a@site.example, b@site.example" in begun
    assert "FIRING critical: RoleDown it is." in begun
    assert "Look." in begun
    assert "RESOLVED critical: RoleDown it is." in ended
    assert [each["status"] for each in told.hooks["/hook?token=SECRET"]] == ["firing", "resolved"]


def test_a_host_that_is_down_is_told_once(told: Told) -> None:
    told.fire(HOST_DOWN)
    _until(lambda: told.lines)
    other = {"alertname": "TargetDown", "host": "h1", "job": "node"}
    slow = {"alertname": "AnswersSlow", "host": "h2", "role": "chat"}
    told.fire(HOST_DOWN, slow, {"alertname": "TargetDown", "host": "h2", "job": "node"}, other)
    _until(lambda: len(told.lines) == 2)
    time.sleep(4)  # a group's next turn
    assert told.lines == [("firing", "HostDown", "h2"), ("firing", "TargetDown", "h1")]


def test_a_host_whose_figures_are_kept_back_does_not_hide_what_others_found_of_it(told: Told) -> None:
    told.fire(HOST_DOWN)
    _until(lambda: told.lines)
    found = ("RoleDown", "Drift", "BlobsDamaged")
    told.fire(HOST_DOWN, *({"alertname": name, "host": "h2"} for name in found))
    _until(lambda: len(told.lines) == 4)
    assert {name for _, name, _ in told.lines} == {"HostDown", *found}


def test_signs_of_life_come_for_as_long_as_prometheus_sends_them(told: Told) -> None:
    watchdog = {"alertname": "Watchdog", "host": "h2", "severity": "none"}
    told.fire(watchdog, HOST_DOWN)
    beat = told.folder / "heartbeat"
    _until(beat.exists)
    _until(lambda: told.hooks.get("/alive"))
    assert abs(int(beat.read_text()) - time.time()) < 60
    _until(lambda: told.lines)
    assert told.lines == [("firing", "HostDown", "h2")]
    assert "Watchdog" not in "".join(told.mails)
    written = beat.stat().st_mtime_ns
    told.fire(watchdog, over=True)
    time.sleep(5)  # two of a group's turns
    assert beat.stat().st_mtime_ns == written
    assert [each["status"] for each in told.hooks["/alive"]] == ["firing"]


def test_secrets_are_shown_to_nobody(told: Told) -> None:
    shown = requests.get(f"{told.url}/api/v2/status", timeout=10).text
    assert "alertlog" not in shown
    assert "/heartbeat" not in shown  # addresses of webhooks are left out whole
    assert "SECRET" not in shown
    assert "SECRET" not in (told.folder / "log").read_text()


@pytest.mark.parametrize("receivers", [Receivers(), _receivers()])
def test_amtool_takes_what_is_rendered(receivers: Receivers, image: Path) -> None:
    text = _configuration(receivers)
    assert _amtool(image, text).returncode == 0
    refused = _amtool(image, text.replace("receiver: site", "receiver: nobody"))
    assert refused.returncode == 1
    assert b'undefined receiver "nobody" used in route' in refused.stdout


def _amtool(image: Path, configuration: str) -> subprocess.CompletedProcess[bytes]:
    (image / "judged.yml").write_text(configuration)
    command = ["chroot", str(image), "/bin/amtool", "check-config", "/judged.yml"]
    return subprocess.run(command, capture_output=True, check=False)


def test_any_password_stays_what_it_is() -> None:
    any_text = "a'\"\\{{ .x }} #: é\t"
    email = EmailSettings(
        to=("a@b.example",), sender="a@b.example", relay="mail:25", user="u", password=Path("/x")
    )
    text = _configuration(Receivers(email, password=any_text, ca="-----BEGIN CERTIFICATE-----\nx"))
    (site,) = (each for each in yaml.safe_load(text)["receivers"] if each["name"] == "site")
    assert site["email_configs"][0]["auth_password"] == any_text
    assert site["email_configs"][0]["tls_config"] == {"ca": "-----BEGIN CERTIFICATE-----\nx"}
