"""An open loop of requests that infer: one is due every so many seconds, answered or not those before.

`python -m tests.lab.load FILE`, where FILE is JSON with url, ca, name, key, every_s (between two requests),
tokens (of an answer), long_tokens (of streams that follow each other all the while; 0 is none) and stop. Goes
on until there is a file of the path `stop` and everything is answered, and prints what came of it as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.lab.traffic import session

_PATIENCE_S = 900
_AT_ONCE = 256
_PROMPT = "Count from 1 to 5000 in words, one number on each line, and leave none out."


def _ask(told: dict[str, Any], due: float, stream: bool, tokens: int) -> dict[str, Any]:
    """One answer: when it was due, what it took from then on, and whether it came whole."""
    found: dict[str, Any] = {"at": time.time(), "stream": stream, "ok": False, "first_s": None}
    body = {
        "model": "chat",
        "messages": [{"role": "user", "content": _PROMPT}],
        "options": {"num_predict": tokens, "temperature": 0},
        "stream": stream,
    }
    last = b""
    try:
        with session(told).post(
            f"{told['url']}/api/chat", json=body, stream=True, timeout=_PATIENCE_S
        ) as answer:
            found["status"] = answer.status_code
            for line in answer.iter_lines():
                if found["first_s"] is None:
                    found["first_s"] = round(time.monotonic() - due, 3)
                last = line or last
            found["ok"] = answer.status_code == requests.codes.ok and json.loads(last).get("done") is True
    except (requests.RequestException, ValueError) as error:
        found["error"] = repr(error)[:300]
    found["seconds"] = round(time.monotonic() - due, 3)
    if not found["ok"]:
        found["said"] = last.decode(errors="replace")[:300]
    return found


def main(told: dict[str, Any]) -> None:
    """Send until told to stop, and wait for every answer."""
    stop = Path(told["stop"])
    streams: list[dict[str, Any]] = []

    def stream_on() -> None:
        while not stop.exists():
            streams.append(_ask(told, time.monotonic(), True, told["long_tokens"]))

    thread = threading.Thread(target=stream_on)
    if told["long_tokens"]:
        thread.start()
    asked: list[Future[dict[str, Any]]] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        due = time.monotonic()
        while not stop.exists():
            asked.append(pool.submit(_ask, told, due, len(asked) % 2 == 1, told["tokens"]))
            due += told["every_s"]
            time.sleep(max(0.0, due - time.monotonic()))
    if told["long_tokens"]:
        thread.join()
    print(json.dumps({"requests": [each.result() for each in asked], "streams": streams}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
