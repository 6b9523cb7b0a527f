"""A known load: every form of request, and the tokens that its answers say.

`python -m tests.lab.spending FILE`, where FILE is JSON with url, ca, name and key. Prints JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.lab.traffic import session

_TURN = [{"role": "user", "content": "Count to five."}]
_OWN = {"model": "chat", "options": {"num_predict": 8}}
_OPENAI = {"model": "chat", "messages": _TURN, "max_tokens": 8}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/chat", {**_OWN, "messages": _TURN, "stream": False}),
    ("/api/chat", {**_OWN, "messages": _TURN}),
    ("/api/generate", {**_OWN, "prompt": "Count to ten.", "stream": False}),
    ("/api/generate", {**_OWN, "prompt": "Count to ten, please."}),
    ("/v1/chat/completions", _OPENAI),
    ("/v1/chat/completions", {**_OPENAI, "stream": True, "stream_options": {"include_usage": True}}),
    ("/v1/completions", {"model": "chat", "prompt": "One, two,", "max_tokens": 8}),
)
UNKNOWN = ("/v1/chat/completions", {**_OPENAI, "stream": True})  # does not say its tokens


def _last(text: str) -> dict[str, Any]:
    """The object that has the numbers: the last of a stream, of either form."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.strip()]
    found: dict[str, Any] = json.loads([line for line in lines if line != "[DONE]"][-1])
    return found


def main(told: dict[str, str]) -> None:
    """Send each request once."""
    tokens_in = tokens_out = 0
    for path, body in REQUESTS:
        answer = session(told).post(f"{told['url']}{path}", json=body, timeout=300)
        answer.raise_for_status()
        said = _last(answer.text)
        usage = said.get("usage", {})
        tokens_in += usage.get("prompt_tokens", 0) + said.get("prompt_eval_count", 0)
        tokens_out += usage.get("completion_tokens", 0) + said.get("eval_count", 0)
    path, body = UNKNOWN
    session(told).post(f"{told['url']}{path}", json=body, timeout=300).raise_for_status()
    listed = session(told).get(f"{told['url']}/api/tags", timeout=30)
    refused = session(told).post(f"{told['url']}/api/pull", json={"model": "chat"}, timeout=30)
    assert (listed.status_code, refused.status_code) == (200, 404)
    print(json.dumps({"requests": len(REQUESTS) + 3, "tokens_in": tokens_in, "tokens_out": tokens_out}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
