"""What Docker says by the script that hosts run, against a stand-in of Docker on a socket of its own."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from sealift.drift.asking import differences
from sealift.errors import SealiftError
from sealift.fleet.status import parse_status
from sealift.host import engine
from sealift.host.engine import (
    CONTAINERS,
    IMAGES,
    INFO,
    NETWORKS,
    POLICIES,
    EngineError,
    answers,
    models,
    sees,
)
from sealift.host.probe import parse_probe
from tests.unit.docker_said import MODELS, SERVER, container, failed, loaded

ONE, TWO, IMAGE = "1" * 64, "2" * 64, f"sha256:{'a' * 64}"
SILENT = "ends the connection without an answer"


class _Docker(http.server.BaseHTTPRequestHandler):
    said: dict[str, object]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        found = self.said.get(self.path)
        body = json.dumps(found, separators=(",", ":")).encode() + b"\n"  # as Docker writes it
        if found == SILENT:
            return
        self.send_response(404 if found is None else found if isinstance(found, int) else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "a Unix socket"


class Host:
    """A host whose Docker has two containers, of which the first is this process.

    + script: what it runs
    """

    def __init__(self, folder: Path) -> None:
        script = resources.files("sealift.host").joinpath("engine.pl").read_text()
        for there, here in (
            ("/run/docker.sock", f"{folder}/sock"),
            ("/run/docker.pid", f"{folder}/pid"),
            ("dockerd", Path("/proc/self/comm").read_text().strip()),
            ("/proc/$pid/root/tmp", f"{folder}/tmp"),  # noqa: S108 - a folder of its own
        ):
            assert there in script
            script = script.replace(there, here)
        self.script, self.folder = script, folder
        (folder / "tmp").mkdir()
        (folder / "pid").write_text(f"{os.getpid()}\n")

    def says(self, *questions: str) -> dict[str, list[str]]:
        command = ["perl", "-e", self.script, *questions]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert ran.stderr == ""
        return dict(answers(ran.stdout.split("\n")))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    labels = {"com.docker.compose.project": "sealift-ollama"}
    _Docker.asked = []
    _Docker.said = {
        "/info": SERVER,
        "/networks": [{"Name": "bridge"}],
        "/images/json?all=1": [{"Id": IMAGE}],
        f"/images/{IMAGE}/json": {"Id": IMAGE, "RepoTags": ["a:1"], "RootFS": {}},
        "/containers/json?all=1": [
            {**container("sealift-ollama", "running", "healthy"), "Id": ONE},
            {**container("", "exited", name="else"), "Id": TWO},
        ],
        f"/containers/{ONE}/json": {
            "State": {"Pid": os.getpid()},
            "HostConfig": {"RestartPolicy": {"Name": "always"}},
            "Config": {"Labels": labels, "Env": ['A={"Pid":1}']},
        },
        f"/containers/{TWO}/json": {"State": {"Pid": 0}, "HostConfig": {"RestartPolicy": {"Name": "no"}}},
    }
    made = Host(tmp_path)
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "sock"), _Docker) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        server.shutdown()


def test_docker_says_what_it_is_asked_and_no_more(host: Host) -> None:
    said = host.says(INFO, NETWORKS, IMAGES, CONTAINERS, POLICIES)
    assert json.loads(said[INFO][0]) == SERVER
    assert engine.image_ids(said) == {IMAGE}
    assert [(each.project, each.health) for each in engine.containers(said)] == [
        ("sealift-ollama", "healthy"),
        ("", ""),
    ]
    assert said[POLICIES] == [f"{ONE} always", f"{TWO} no"]
    _Docker.asked.clear()
    assert set(host.says(NETWORKS)) == {NETWORKS}
    assert "/info" not in _Docker.asked and f"/containers/{ONE}/json" not in _Docker.asked


def test_a_docker_that_does_not_run_is_not_started_by_asking(host: Host) -> None:
    (host.folder / "pid").write_text("1\n")  # which is another program's by now
    assert host.says(INFO, CONTAINERS) == {}
    assert _Docker.asked == []


@pytest.mark.parametrize(("answer", "status"), [(500, "500"), (None, "404"), (SILENT, "nothing")])
@pytest.mark.parametrize("path", ["/info", "/images/json?all=1", "/containers/json?all=1"])
def test_a_docker_that_fails_does_not_pass_for_one_that_has_nothing(
    host: Host, path: str, answer: object, status: str
) -> None:
    _Docker.said[path] = answer
    command = ["perl", "-e", host.script, INFO, IMAGES, CONTAINERS]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    why = f"h1: its Docker answers {status} to {path.partition('?')[0]}, expected 200. Look why: journalctl"
    for read in (parse_probe, parse_status):
        with pytest.raises(SealiftError, match=re.escape(why)):
            read("h1", f"{said}end=\n")
    with pytest.raises(EngineError):
        differences((), f"{said}sealift-fact=end\n")


def test_a_docker_that_takes_no_connection_fails(host: Host) -> None:
    (host.folder / "sock").unlink()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(host.folder / "sock"))
        with pytest.raises(EngineError, match="its Docker answers nothing to /networks,"):
            host.says(NETWORKS)


def test_what_went_while_docker_was_asked_is_no_failure(host: Host) -> None:
    del _Docker.said[f"/images/{IMAGE}/json"], _Docker.said[f"/containers/{TWO}/json"]
    said = host.says(IMAGES, POLICIES)
    assert IMAGES not in said and said[POLICIES] == [f"{ONE} always"]


def test_a_docker_that_is_late_does_not_pass_for_one_that_has_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = _Docker.do_GET

    def slow(self: _Docker) -> None:
        time.sleep(2 * ("images" in self.path))
        quick(self)

    monkeypatch.setattr(_Docker, "do_GET", slow)
    host.script = host.script.replace("alarm 30", "alarm 1")
    command = ["perl", "-e", host.script, INFO, IMAGES, CONTAINERS]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert engine.line(INFO, json.dumps(SERVER, separators=(",", ":"))) in said
    for read in (parse_probe, parse_status):
        with pytest.raises(SealiftError, match="h1: its Docker did not answer all within 30 s"):
            read("h1", f"{said}end=\n")


def test_a_file_is_read_as_its_container_sees_it(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("x")
    gone, others = sees("sealift-ollama", f"{tmp_path}/gone"), sees("sealift-gateway", str(file))
    question = sees("sealift-ollama", str(file))
    assert host.says(question, gone, others) == {question: [f"{ONE} {hashlib.sha256(b'x').hexdigest()}"]}


def test_runners_are_counted_and_failures_read_without_following_a_link(host: Host, tmp_path: Path) -> None:
    (tmp_path / "tmp/failed-chat").write_text('{"error":"no room"}\n')
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "tmp/failed-link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "tmp/failed-fifo")
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "/models/blobs/sha256-x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as runner:
        assert runner.stdout and runner.stdin
        runner.stdout.readline()
        said = host.says(MODELS)[MODELS]
        runner.stdin.close()
    (runners,) = (line for line in said if line.startswith("runners "))
    assert int(runners.split()[1]) >= 1
    assert {line.rstrip() for line in said if line.startswith("failed ")} == {
        'failed chat {"error":"no room"}',
        "failed link",
        "failed fifo",
    }


def test_a_folder_that_became_a_link_is_not_followed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "tmp").rmdir()
    (tmp_path / "else").mkdir()
    (tmp_path / "else/failed-chat").write_text("x")
    (tmp_path / "tmp").symlink_to(tmp_path / "else")
    assert not [line for line in host.says(MODELS)[MODELS] if line.startswith("failed")]


def test_a_model_whose_runner_has_died_is_not_loaded() -> None:
    def told(*lines: str) -> list[str]:
        return answers("\n".join(lines).split("\n"))[MODELS]

    names = ("chat:latest", "gemma3:270m")  # of one model
    assert models(told(loaded(*names), failed("embed", "no room"))) == (names, {"embed": "no room"})
    assert models(told(loaded(*names, runners=0))) == ((), {})
    assert models([]) == ((), {})
