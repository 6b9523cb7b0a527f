"""What clients send while a gateway is changed: a long stream, and short requests on old and new connections.

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

_PAUSE_S = 0.6  # 100 a minute: below a client's limit
_PROMPT = "Count from 1 to 500 in words, one number on each line, and leave none out."


def _session(told: dict[str, str]) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", NamedHost(told["name"]))
    session.verify = told["ca"]
    session.headers["Authorization"] = f"Bearer {told['key']}"
    return session


def _stream(told: dict[str, str], found: dict[str, Any]) -> None:
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": _PROMPT}],
        "options": {"num_predict": 400},
    }
    try:
        with _session(told).post(f"{told['url']}/api/chat", json=body, stream=True, timeout=300) as answer:
            found["status"] = answer.status_code
            lines = [json.loads(line) for line in answer.iter_lines()]
        found.update(done=lines[-1].get("done"), lines=len(lines), ended=time.time())
    except (requests.RequestException, ValueError) as error:
        found["error"] = repr(error)


def main(told: dict[str, str]) -> None:
    """Send until told to stop, and to the end of the stream."""
    stream: dict[str, Any] = {}
    thread = threading.Thread(target=_stream, args=(told, stream))
    thread.start()
    kept = _session(told)
    statuses: list[str] = []
    while not Path(told["stop"]).exists():
        session = kept if len(statuses) % 2 else _session(told)
        try:
            statuses.append(str(session.get(f"{told['url']}/api/version", timeout=30).status_code))
        except requests.RequestException as error:
            statuses.append(repr(error))
        time.sleep(_PAUSE_S)
    thread.join()
    failed = [status for status in statuses if status != "200"]
    print(json.dumps({"requests": len(statuses), "failed": failed, "stream": stream}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
