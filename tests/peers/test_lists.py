"""Lists of models: a client sees what it may ask for and nothing else, whatever Ollama answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import Gateway, keys_of, lock_of, message_of
from tests.unit.fleet_site import MODEL
from tests.unit.samples import IMAGE

_SECRETS = Secrets.model_construct(
    api_keys={
        "all": keys_of("all"),
        "one": keys_of("one", roles=("chat",)),
        "none": keys_of("none", roles=("x",)),
    }
)
_ENTRY = {
    "size": 5,
    "digest": "d",
    "details": {"families": ["a", {"b": [1.5e3, None, True]}], "é": '"\\u00e9 }]'},
}
LISTS = {"/api/tags": "models", "/api/ps": "models", "/v1/models": "data"}


@pytest.fixture(scope="module")
def running(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway.serving(
        envoy_program, folder, lock_of(IMAGE), secrets=_SECRETS, requests_per_minute=60000
    ) as found:
        yield found


def entry(name: str, **more: Any) -> dict[str, Any]:
    """As Ollama has it in any of the lists."""
    return {"name": name, "model": name, "id": name, **_ENTRY, **more}


def listed(path: str, *entries: Any) -> bytes:
    return json.dumps({"object": "list", LISTS[path]: list(entries)}, ensure_ascii=False).encode()


@pytest.mark.parametrize("path", LISTS)
def test_a_client_sees_what_it_may_ask_for_and_nothing_else(running: Gateway, path: str) -> None:
    entries = [entry(name) for name in ("secret:1", "chat:latest", MODEL, "chat:2", "chatx:latest")]
    running.lists[path] = listed(path, *entries)
    for client, seen in {"all": [entries[1], entries[2]], "one": [entries[1]], "none": []}.items():
        answer = running.ask("GET", f"{path}?x=1", client)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json().pop(LISTS[path]) == seen
        assert answer.json().keys() == ({"data", "object"} if path.startswith("/v1/") else {"models"})
    assert running.ask("GET", path, None).status_code == 401


@pytest.mark.parametrize("path", LISTS)
def test_a_host_without_models_has_an_empty_list(running: Gateway, path: str) -> None:
    for nothing in (b"[]", b"null", b" [ ] "):
        running.lists[path] = b' {"%s" : %s} \n' % (LISTS[path].encode(), nothing)
        answer = running.ask("GET", path, "all")
        assert (answer.status_code, answer.json()[LISTS[path]]) == (200, [])


def test_head_says_as_much_as_get(running: Gateway) -> None:
    running.lists["/api/tags"] = listed("/api/tags", entry("secret:1"), entry("chat:latest"))
    got = running.ask("GET", "/api/tags", "one")
    asked = running.ask("HEAD", "/api/tags", "one")
    assert asked.status_code == 200 and asked.content == b""
    assert asked.headers["content-length"] == got.headers["content-length"]
    assert running.ask("HEAD", "/api/ps", "one").status_code == 404


@pytest.mark.parametrize(
    ("client", "name", "status"),
    [
        *(("one", "chat", 200), ("one", "chat:latest", 200), ("one", MODEL, 404), ("one", "secret", 404)),
        *(("all", "chat", 200), ("all", MODEL, 200), ("all", "secret", 404), ("none", "chat", 404)),
        *(("one", "CHAT", 404), ("one", "chat:latest:latest", 404), ("one", "chat:", 404)),
    ],
)
def test_a_model_by_its_name_is_as_if_it_were_not_there(
    running: Gateway, client: str, name: str, status: int
) -> None:
    before = len(running.calls)
    path = f"/v1/models/{name}"
    answer = running.ask("GET", path, client)
    assert answer.status_code == status
    assert len(running.calls) - before == (status == 200)
    if status == 404:
        assert f"model: {name} is not for client {client}." in message_of(answer, path, param="model")
        assert answer.json()["error"]["code"] == "model_not_found"


HOSTILE = {
    "no JSON": b"models",
    "nothing": b"",
    "an array": b'[{"name":"chat"}]',
    "no list": b'{"object":"list"}',
    "a list that is an object": b'{"models":{"name":"chat"},"data":{"id":"chat"}}',
    "an entry that is a text": b'{"models":["chat"],"data":["chat"]}',
    "an entry in an array": b'{"models":[[{"name":"chat"}]],"data":[[{"id":"chat"}]]}',
    "the list twice": b'{"models":[],"data":[],"models":[{"name":"secret"}],"data":[{"id":"secret"}]}',
    "a name twice": b'{"models":[{"name":"chat","name":"secret"}],"data":[{"id":"chat","id":"secret"}]}',
    "a name in another case": b'{"models":[{"name":"chat","Name":"x"}],"data":[{"id":"chat","ID":"x"}]}',
    "a name with an escape": b'{"models":[{"n\\u0061me":"x"}],"data":[{"\\u0069d":"x"}]}',
    "the list in another case": b'{"Models":[{"name":"x"}],"Data":[{"id":"x"}]}',
    "something behind it": b'{"models":[],"data":[]}{"models":[{"name":"secret"}]}',
    "not the whole": b'{"data":[{"id":"chat"}],"models":[{"name":"chat"}',
    "a comma too many": b'{"models":[{"name":"chat"},],"data":[{"id":"chat"},]}',
    "no UTF-8": b'{"models":[{"name":"chat","x":"\xff"}],"data":[{"id":"chat","x":"\xff"}]}',
    "deep": b'{"x":%s%s,"models":[],"data":[]}' % (b"[" * 20, b"]" * 20),
    "very deep": b'{"x":' + b"[" * 900_000,
    "long": b'{"models":[],"data":[],"x":"%s"}' % (b"x" * (1 << 20)),
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_list_that_cannot_be_read_is_not_shown(running: Gateway, path: str, name: str) -> None:
    running.lists[path] = HOSTILE[name]
    answer = running.ask("GET", path, "all")
    assert answer.status_code >= 500
    message_of(answer, path)
    assert "chat" not in answer.text and "secret" not in answer.text


def test_an_answer_without_end_does_not_fill_the_gateways_memory(running: Gateway) -> None:
    running.lists["/api/tags"] = b'{"models":[],"x":"%s"}' % (b"x" * (160 << 20))
    before = running.memory_mib()
    assert running.ask("GET", "/api/tags", "all").status_code >= 500
    assert running.memory_mib() < before + 100


def test_entries_without_a_plain_name_are_not_shown(running: Gateway) -> None:
    for name in (5, None, {"x": "chat"}, "", "ch\\u0061t", 'chat"'):
        for of in ({"name": name}, {"name": "chat", "model": name}, {"model": "chat"}):
            running.lists["/api/tags"] = listed("/api/tags", of, entry("chat"))
            assert running.ask("GET", "/api/tags", "all").json() == {"models": [entry("chat")]}


def test_a_list_of_many_models_is_shown_whole(running: Gateway) -> None:
    many = [entry(MODEL, number=number) for number in range(2000)]
    running.lists["/api/tags"] = listed("/api/tags", *many)
    assert len(running.lists["/api/tags"]) > 1 << 18
    assert running.ask("GET", "/api/tags", "all").json()["models"] == many


def test_where_ollama_is_not_there_a_list_is_refused_as_any_call(envoy_program: Path, tmp_path: Path) -> None:
    with gateway.serving(envoy_program, tmp_path, lock_of(IMAGE), ollama=False, hold_s=0) as alone:
        answer = alone.ask("GET", "/v1/models")
        assert answer.status_code == 503
        assert message_of(answer, "/v1/models").startswith("Ollama: does not answer now.")
        assert answer.headers["retry-after"] == "5"
