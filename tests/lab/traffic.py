"""What clients send while a gateway is changed: streams, and short requests on old and new connections.

`python -m tests.lab.traffic FILE`, where FILE is JSON with url, ca, name, key and stop. Goes on until there
is a file of the path `stop`, and prints what came of it as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import requests

from sealift.fleet.named_host import NamedHost

_PAUSE_S = 0.8  # with the streams, fewer than a client's limit
_PROMPT = "Count from 1 to 500 in words, one number on each line, and leave none out."


def _session(told: dict[str, str]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", NamedHost(told["name"]))
    session.verify = told["ca"]
    session.headers["Authorization"] = f"Bearer {told['key']}"
    return session


def _stream(told: dict[str, str]) -> dict[str, Any]:
    """Ask for a long answer; what came of it, and from when to when it came."""
    found: dict[str, Any] = {"done": False}
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": _PROMPT}],
        "options": {"num_predict": 400},
    }
    try:
        with _session(told).post(f"{told['url']}/api/chat", json=body, stream=True, timeout=300) as answer:
            lines = answer.iter_lines()
            first = json.loads(next(lines))
            found.update(status=answer.status_code, began=time.time())
            found.update(done=[first, *map(json.loads, lines)][-1].get("done"), ended=time.time())
    except (requests.RequestException, ValueError, StopIteration) as error:
        found["error"] = repr(error)
    return found


def main(told: dict[str, str]) -> None:
    """Send until told to stop, and to the end of the last stream."""
    stop = Path(told["stop"])
    streams: list[dict[str, Any]] = []

    def stream_on() -> None:
        while not stop.exists():
            streams.append(_stream(told))

    thread = threading.Thread(target=stream_on)
    thread.start()
    kept = _session(told)
    statuses: list[str] = []
    while not stop.exists():
        session = kept if len(statuses) % 2 else _session(told)
        try:
            statuses.append(str(session.get(f"{told['url']}/api/version", timeout=30).status_code))
        except requests.RequestException as error:
            statuses.append(repr(error))
        time.sleep(_PAUSE_S)
    thread.join()
    failed = [status for status in statuses if status != "200"]
    print(json.dumps({"requests": len(statuses), "failed": failed, "streams": streams}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
