"""The official `ollama` and `openai` packages as clients of a gateway: what applications do by them.

`python -m tests.lab.official FILE`, where FILE is JSON with name, address, port, ca and key. Prints JSON.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ollama
import openai

ROLE, OTHER = "chat", "no-such-model"
_TURN: list[Any] = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
_SHORT = {"num_predict": 4, "temperature": 0}
_SCHEMA: Any = {"enum": ["red", "blue"]}
_FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}}
_TOOL: Any = {
    "type": "function",
    "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
}
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SIGHT: list[Any] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PIXEL}"}},
        ],
    }
]


def native(url: str, ca: str, key: str) -> dict[str, object]:
    """What the package `ollama` gets."""
    client = ollama.Client(
        host=url,
        headers={"Authorization": f"Bearer {key}"},
        verify=ssl.create_default_context(cafile=ca),
    )
    asked: dict[str, Any] = {"model": ROLE, "messages": _TURN, "options": _SHORT}
    stream = [part.message.content for part in client.chat(**asked, stream=True)]
    told = client.chat(ROLE, _TURN, format=_SCHEMA, options={"num_predict": 8})
    shown = client.show(ROLE)
    return {
        "list": sorted(str(model.model) for model in client.list().models),
        "loaded": [str(model.model) for model in client.ps().models],
        "show": shown.details.family if shown.details else None,
        "chat": client.chat(**asked).message.content,
        "generate": client.generate(ROLE, "One, two,", options=_SHORT).response,
        "stream": stream,
        "schema": json.loads(told.message.content or ""),
        "embed": _refusal(lambda: client.embed(ROLE, "a colour")),
        "tools": _refusal(lambda: client.chat(ROLE, _TURN, tools=[_TOOL], options=_SHORT)),
        "images": _refusal(lambda: client.generate(ROLE, "What is it?", images=[_PIXEL])),
        "another": _refusal(lambda: client.chat(OTHER, _TURN)),
        "pull": _refusal(lambda: client.pull(ROLE)),
    }


def of_openai(url: str, ca: str, key: str) -> dict[str, object]:
    """What the package `openai` gets."""
    client = openai.OpenAI(
        base_url=f"{url}/v1",
        api_key=key,
        http_client=openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=ca)),
        max_retries=0,
    )
    create: Callable[..., Any] = partial(client.chat.completions.create, temperature=0)
    stream = create(model=ROLE, messages=_TURN, max_tokens=4, stream=True)
    told = create(model=ROLE, messages=_TURN, max_tokens=8, response_format=_FORMAT)
    answer = create(model=ROLE, messages=_TURN, max_tokens=4)
    return {
        "list": sorted(model.id for model in client.models.list()),
        "retrieve": client.models.retrieve(ROLE).id,
        "chat": answer.choices[0].message.content,
        "tokens": answer.usage.completion_tokens,
        "completion": client.completions.create(model=ROLE, prompt="One, two,", max_tokens=4).choices[0].text,
        "stream": [part.choices[0].delta.content for part in stream if part.choices],
        "schema": json.loads(told.choices[0].message.content),
        "embed": _refusal(lambda: client.embeddings.create(model=ROLE, input="a colour")),
        "tools": _refusal(lambda: create(model=ROLE, messages=_TURN, tools=[_TOOL], max_tokens=4)),
        "images": _refusal(lambda: create(model=ROLE, messages=_SIGHT)),
        "another": _refusal(lambda: create(model=OTHER, messages=_TURN)),
        "retrieve another": _refusal(lambda: client.models.retrieve(OTHER)),
    }


def _refusal(ask: Callable[[], object]) -> list[object] | None:
    """Status and sentence; None where there is none."""
    try:
        ask()
    except ollama.ResponseError as error:
        return [error.status_code, error.error]
    except openai.APIStatusError as error:
        said: Any = error.body
        return [error.status_code, said["message"]]
    return None


def main(told: dict[str, Any]) -> None:
    """Ask by both."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    find = socket.getaddrinfo

    def found(host: Any, *rest: Any, **more: Any) -> Any:
        return find(told["address"] if host in (told["name"], told["name"].encode()) else host, *rest, **more)

    socket.getaddrinfo = found  # for the lab has no DNS
    url = f"https://{told['name']}:{told['port']}"
    print(json.dumps({name: ask(url, told["ca"], told["key"]) for name, ask in _ALL.items()}))


_ALL = {"ollama": native, "openai": of_openai}

if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
