"""What is written down of alerts, and what is refused."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from templates.alertlog import alertlog
from templates.alertlog.alertlog import Log, RefusedError

NOON = 1_793_534_400.0


def _alert(name: str = "RoleDown", status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": f"{name} it is.", "action": "Look."},
        "startsAt": "2026-11-01T11:59:00Z",
        "endsAt": "2026-11-01T12:30:00Z",
        "fingerprint": f"{name}{sorted(labels.items())}",
        "generatorURL": "http://prometheus/",
    }


def _notification(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "receiver": "site", "alerts": alerts}).encode()


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]


def test_each_alert_that_begins_or_ends_is_a_line(tmp_path: Path) -> None:
    log = Log(tmp_path)
    assert log.alerts(_notification(_alert(host="h1")), NOON) == 1
    # Alertmanager sends all of a group when one of them changes.
    assert log.alerts(_notification(_alert(host="h1"), _alert(host="h2")), NOON + 60) == 1
    assert log.alerts(_notification(_alert(host="h1", status="resolved")), NOON + 120) == 1
    begun, other, ended = _lines(tmp_path)
    assert begun == {
        "time": "2026-11-01T12:00:00Z",
        "status": "firing",
        "alert": "RoleDown",
        "labels": {"severity": "critical", "host": "h1"},
        "summary": "RoleDown it is.",
        "begin": "2026-11-01T11:59:00Z",
        "end": "",
        "fingerprint": "RoleDown[('host', 'h1')]",
    }
    assert (other["labels"]["host"], other["time"]) == ("h2", "2026-11-01T12:01:00Z")
    assert (ended["status"], ended["end"]) == ("resolved", "2026-11-01T12:30:00Z")


def test_the_file_is_rotated_by_size(tmp_path: Path) -> None:
    log = Log(tmp_path, most=2000)
    for number in range(20):
        log.alerts(_notification(_alert(host=f"h{number}")), NOON)
    newer, older = tmp_path / "alerts.jsonl", tmp_path / "alerts.jsonl.1"
    assert newer.stat().st_size <= 2000
    assert 0 < older.stat().st_size <= 2000
    assert _lines(tmp_path)[-1]["labels"]["host"] == "h19"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alerts.jsonl", "alerts.jsonl.1"]


def test_a_sign_of_life_is_one_that_fires(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.alive(_notification(_alert("Watchdog", "resolved")), NOON)
    assert not log.heartbeat.exists()
    log.alive(_notification(_alert("Watchdog")), NOON)
    assert log.heartbeat.read_text() == "1793534400\n"
    assert not log.path.exists()


def test_what_was_written_of_alerts_is_forgotten_one_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertlog, "_REMEMBERED", 3)
    log = Log(tmp_path)
    for number in range(10):
        log.alerts(_notification(_alert(host=f"h{number}")), NOON)
    assert len(log._written) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"alerts": 3}',
        b'{"alerts": [3]}',
        b'{"alerts": [{}]}',
        b'{"alerts": [{"status": "firing", "labels": [], "annotations": {}}]}',
        _notification(_alert(status="odd")),
        b'{"alerts": ' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_notification_is_refused(tmp_path: Path, body: bytes) -> None:
    for take in (Log(tmp_path).alerts, Log(tmp_path).alive):
        with pytest.raises(RefusedError, match="no notification"):
            take(body, NOON)
    assert list(tmp_path.iterdir()) == []


def test_a_label_cannot_begin_a_line(tmp_path: Path) -> None:
    Log(tmp_path).alerts(_notification(_alert(host="h1\n{}\u2028\x1b[31m")), NOON)
    content = (tmp_path / "alerts.jsonl").read_bytes()
    assert content.count(b"\n") == 1
    assert content.isascii()
    assert b"\x1b" not in content


@contextmanager
def _serving(folder: Path) -> Iterator[http.client.HTTPConnection]:
    server = alertlog.serve(folder, ("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    finally:
        server.shutdown()
        server.server_close()


def _status(ask: http.client.HTTPConnection, method: str, path: str, body: bytes, **headers: str) -> int:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    ask.request(method, path, body, sent)
    answer = ask.getresponse()
    answer.read()
    ask.close()
    return answer.status


def test_over_http(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    right = _notification(_alert(host="secret-host"))
    with _serving(tmp_path) as ask:
        assert _status(ask, "POST", "/alerts", right) == 200
        assert _status(ask, "POST", "/heartbeat", right) == 200
        assert _status(ask, "POST", "/alerts", b"secret") == 400
        assert _status(ask, "POST", "/other", right) == 404
        assert _status(ask, "GET", "/alerts", b"") == 501
        assert _status(ask, "POST", "/alerts", b"x", Content_Length="99999999") == 413
        assert _status(ask, "POST", "/alerts", b"x", Content_Length="9" * 5000) == 413
        assert _status(ask, "POST", "/alerts", b"x", Content_Length="0" * 20 + "99999999") == 413
        assert _status(ask, "POST", "/alerts", b"x", Content_Length="-1") == 411
        (tmp_path / "alerts.jsonl").unlink()
        (tmp_path / "alerts.jsonl").mkdir()
        assert _status(ask, "POST", "/alerts", _notification(_alert(host="h2"))) == 503
        (tmp_path / "alerts.jsonl").rmdir()
        assert _status(ask, "POST", "/alerts", _notification(_alert(host="h2"))) == 200  # sent again
    assert [line["labels"]["host"] for line in _lines(tmp_path)] == ["h2"]
    assert "secret" not in "".join(capfd.readouterr())


def test_one_who_says_nothing_does_not_hold_up_others_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertlog.Handler, "timeout", 0.2)
    with _serving(tmp_path) as ask, _serving(tmp_path):
        silent = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=30)
        silent.connect()
        assert _status(ask, "POST", "/alerts", _notification(_alert(host="h1"))) == 200
        silent.close()


@pytest.mark.parametrize("head", [b"", b"POST /alerts HTTP/1.0\r\nContent-Length: 1000\r\n\r\n"])
def test_one_who_speaks_slowly_does_not_hold_up_others_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(alertlog.Handler, "timeout", 1)
    ended = threading.Event()

    def drip(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as slow, suppress(OSError):
            slow.sendall(head)
            begun.set()
            while not ended.wait(0.05):
                slow.sendall(b"x")

    begun = threading.Event()
    with _serving(tmp_path) as ask:
        dripping = threading.Thread(target=drip, args=(ask.port,))
        dripping.start()
        try:
            assert begun.wait(30)
            assert _status(ask, "POST", "/alerts", _notification(_alert(host="h1"))) == 200
        finally:
            ended.set()
            dripping.join()
