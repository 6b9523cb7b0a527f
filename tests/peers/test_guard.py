"""What a body may ask, by the real Envoy; what passes is read by Go's encoding/json as Ollama reads it."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo import images
from demo.cache import make
from demo.go import find_go
from sealift.cache import cache_folder
from sealift.host.inputs import ROUTES, Guard
from tests.fuzz import guard
from tests.fuzz.bodies import CONTEXT, PATHS, Body, plain_bodies, spoiled_bodies
from tests.fuzz.guard import IGNORE, REFUSE, ROLES
from tests.peers import envoy
from tests.peers.envoy import Gateway
from tests.peers.guard_bodies import PASS, REFUSED
from tests.unit.samples import MODEL

_CASES = 2000
_THROUGH_ENVOY = 400
_SEED = 1
_MIB = 1 << 20
_MODES = pytest.mark.parametrize("rules", [REFUSE, IGNORE], ids=["refuse", "ignore"])


@dataclass(frozen=True)
class Tools:
    """Real programs."""

    envoy: Path
    decoder: Path


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    work, cache = tmp_path_factory.mktemp("guard"), cache_folder(os.environ) / "ingredients"
    image = make(images.envoy_image(make(images.base(), cache, print)), cache, print)
    (archive,) = image.iterdir()
    go = find_go(cache, print)
    return Tools(envoy.program(archive, work), guard.build_decoder(go.command, work))


@pytest.fixture(scope="module")
def gateway(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with envoy.serving(
        tools.envoy, tmp_path_factory.mktemp("refuse"), envoy.configuration("refuse")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def ignoring(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with envoy.serving(
        tools.envoy, tmp_path_factory.mktemp("ignore"), envoy.configuration("ignore")
    ) as running:
        yield running


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


@pytest.mark.parametrize("name", PASS)
def test_what_may_be_asked_reaches_ollama_byte_by_byte(gateway: Gateway, name: str) -> None:
    body = _bytes(PASS[name])
    answer = gateway.ask("/api/chat", body)
    assert answer.status_code == 200, answer.text
    assert gateway.reached[-1].body == body


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_not_be_asked_is_refused_in_a_sentence(gateway: Gateway, name: str) -> None:
    status, sentence, body = REFUSED[name]
    before = len(gateway.reached)
    answer = gateway.ask("/api/chat", _bytes(body))
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert sentence in error
    assert error.endswith(f". Request {answer.headers['x-request-id']}.")
    assert len(gateway.reached) == before


@pytest.mark.parametrize("path", PATHS)
def test_every_route_of_ollama_is_guarded_and_answers_in_its_own_form(gateway: Gateway, path: str) -> None:
    assert gateway.ask(path, b'{"model":"chat"}').status_code == 200
    answer = gateway.ask(f"{path}?x=1", b'{"model":"secret"}')
    assert answer.status_code == 403
    error = answer.json()["error"]
    if path == "/v1/messages":
        assert answer.json()["type"] == "error"
        assert error.pop("message").startswith("model: secret is not for client alice.")
        assert error == {"type": "permission_error"}
        return
    if not path.startswith("/v1/"):
        assert error.startswith("model: secret is not for client alice.")
        return
    assert error.pop("message").startswith("model: secret is not for client alice.")
    assert error == {"type": "invalid_request_error", "param": "model", "code": "model_not_allowed"}


def test_the_gateway_routes_no_body_that_the_guard_does_not_know() -> None:
    assert {path for method, path in ROUTES if method == "POST"} <= set(PATHS)


def test_a_model_is_shown_by_either_of_two_keys_and_both_are_looked_at(gateway: Gateway) -> None:
    assert gateway.ask("/api/show", b'{"name":"chat"}').status_code == 200
    assert gateway.ask("/api/show", b'{"name":"chat","model":"chat"}').status_code == 200
    assert gateway.ask("/api/show", b'{"name":"secret","model":"chat"}').status_code == 403
    assert gateway.ask("/api/show", b'{"name":"secret","model":""}').status_code in (400, 403)
    assert gateway.ask("/api/show", b'{"Name":"secret","model":"chat"}').status_code == 400
    assert gateway.ask("/api/chat", b'{"name":"chat"}').status_code == 400


def test_texts_to_embed_are_prompts_one_by_one(gateway: Gateway) -> None:
    text = "x" * 6 * (CONTEXT - 10)
    for path in ("/api/embed", "/v1/embeddings"):
        many = json.dumps({"model": "embed", "input": [text] * 20}).encode()
        assert gateway.ask(path, many).status_code == 200
        long = json.dumps({"model": "embed", "input": ["x", text + "x" * 80]}).encode()
        assert "prompt: some" in gateway.ask(path, long).text
    assert "prompt: some" in gateway.ask("/api/chat", many).text


@pytest.mark.parametrize("encoding", ["gzip", "identity, gzip", "br", ""])
def test_a_body_in_another_encoding_is_refused(gateway: Gateway, encoding: str) -> None:
    answer = gateway.ask("/api/chat", b'{"model":"chat"}', Content_Encoding=encoding)
    assert answer.status_code == 415
    assert "content-encoding: is not read here" in answer.json()["error"]
    assert gateway.ask("/api/chat", b'{"model":"chat"}', Content_Encoding="Identity").status_code == 200


def test_a_body_is_read_whatever_its_type_and_framing(gateway: Gateway) -> None:
    for type_ in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert gateway.ask("/api/chat", b'{"model":"secret"}', Content_Type=type_).status_code == 403
    assert gateway.ask("/api/chat", iter((b'{"model":"se', b'cret"}'))).status_code == 403
    assert gateway.ask("/api/chat", iter((b'{"model":"ch', b'at"}'))).status_code == 200
    for nothing in (None, b""):
        assert "body: is missing" in gateway.ask("/api/chat", nothing).json()["error"]


def test_a_client_is_who_the_key_says(gateway: Gateway) -> None:
    assert gateway.ask("/api/chat", b'{"model":"secret"}', client="bob").status_code == 200
    assert gateway.ask("/api/chat", b'{"model":"chat"}', client="bob").status_code == 403
    assert gateway.ask("/api/chat", b'{"model":"secret"}', x_sealift_client="bob").status_code == 403
    assert "has nothing for it." in gateway.ask("/api/chat", b'{"model":"chat"}', client="dave").text


def test_a_client_that_is_not_restricted_may_ask_for_roles_and_models(gateway: Gateway) -> None:
    for name in (*ROLES, MODEL):
        body = json.dumps({"model": name}).encode()
        assert gateway.ask("/api/chat", body, client="carol").status_code == 200
    answer = gateway.ask("/api/chat", b'{"model":"another"}', client="carol")
    assert answer.status_code == 403
    assert f"Ask for one of: chat, embed, secret, {MODEL}." in answer.json()["error"]
    assert gateway.ask("/api/chat", json.dumps({"model": MODEL}).encode()).status_code == 403


@pytest.mark.parametrize("path", ["/api/pull", "/api/create", "/api/Chat", "/api/chat/", "/v1/files"])
def test_a_path_that_the_guard_does_not_know_is_closed(gateway: Gateway, path: str) -> None:
    before = len(gateway.reached)
    assert gateway.ask(path, b'{"model":"chat"}').status_code == 404
    assert len(gateway.reached) == before


@pytest.mark.parametrize(
    ("body", "becomes", "ignored"),
    [
        ('{"model":"chat","keep_alive":0}', '{"model":"chat"}', "keep_alive"),
        ('{"keep_alive":"1h" , "model":"chat"}', '{ "model":"chat"}', "keep_alive"),
        ('{"keep_alive":0,"options":{"num_gpu":1}, "model":"chat"}', None, "keep_alive,options.num_gpu"),
        ('{"model":"chat","options":{"numa":true,"seed":1,"num_ctx":2048,"use_mmap":false}}',
         '{"model":"chat","options":{"seed":1}}', "options.numa,options.num_ctx,options.use_mmap"),
        ('{"options":{"num_gpu":1,"num_thread":2,"x":[1,2]},"model":"chat"}',
         '{"options":{"x":[1,2]},"model":"chat"}', "options.num_gpu,options.num_thread"),
        ('{"options":{"num_gpu":null,"num_ctx":4096},"model":"chat"}',
         '{"options":{"num_gpu":null},"model":"chat"}', "options.num_ctx"),
    ],
)  # fmt: skip
def test_what_is_to_be_ignored_is_taken_out_and_the_client_is_told(
    ignoring: Gateway, body: str, becomes: str | None, ignored: str
) -> None:
    becomes = becomes or '{"options":{}, "model":"chat"}'
    for sent in (body.encode(), iter((body[:9].encode(), body[9:].encode()))):
        answer = ignoring.ask("/api/chat", sent)
        assert answer.status_code == 200, answer.text
        assert ignoring.reached[-1].body.decode() == becomes
        assert answer.headers["x-sealift-ignored"] == ignored


def test_more_context_than_there_is_is_never_ignored(ignoring: Gateway) -> None:
    assert ignoring.ask("/api/chat", b'{"model":"chat","options":{"num_ctx":4097}}').status_code == 400
    answer = ignoring.ask("/api/chat", b'{"model":"chat"}')
    assert "x-sealift-ignored" not in answer.headers


def test_sixteen_mib_of_images_pass_and_leave_no_memory_behind(gateway: Gateway) -> None:
    body = b'{"model":"chat","messages":[{"images":["' + b"QUJD" * (4 * _MIB - 100) + b'"]}]}'
    for _ in range(3):
        assert gateway.ask("/api/chat", body).status_code == 200
    settled = gateway.memory_mib()
    for _ in range(12):
        assert gateway.ask("/api/chat", body).status_code == 200
    assert gateway.reached[-1].body == body
    assert gateway.memory_mib() < settled + 64


@pytest.mark.parametrize(
    ("name", "break_"),
    [
        ("guard", "GUARD = nil"),
        ("guard", "guard_judge = nil"),
        ("guard", "function envoy_on_request(handle) error('x') end"),
        ("allowed", "function envoy_on_request(handle) error('x') end"),
    ],
)
def test_a_guard_that_breaks_lets_nothing_pass(tools: Tools, tmp_path: Path, name: str, break_: str) -> None:
    of = envoy.configuration("refuse")
    (code,) = (each["typed_config"] for each in envoy.http_filters(of) if each["name"] == name)
    code["default_source_code"]["inline_string"] += f"\n{break_}\n"
    with envoy.serving(tools.envoy, tmp_path, of) as broken:
        answer = broken.ask("/api/chat", b'{"model":"chat"}')
        assert answer.status_code in (403, 500), answer.text
        assert broken.reached == []


@_MODES
def test_no_spoiled_body_passes_that_ollama_reads_otherwise(
    tools: Tools, tmp_path: Path, rules: Guard
) -> None:
    passed, found = guard.bypasses(
        guard.source(rules), spoiled_bodies(_SEED, range(_CASES)), tools.decoder, tmp_path
    )
    assert passed > _CASES / 20
    assert found == []


def test_the_same_verdicts_come_from_envoy(gateway: Gateway, tmp_path: Path) -> None:
    bodies = spoiled_bodies(_SEED, range(_THROUGH_ENVOY))
    for body, verdict in zip(bodies, guard.judge(guard.source(REFUSE), bodies, tmp_path), strict=True):
        answer = gateway.ask(body.path, body.content)
        assert answer.status_code == verdict.status, body
        if verdict.status == 200:
            assert gateway.reached[-1].body == body.content
        else:
            assert verdict.message in answer.text.replace('\\"', '"')


def test_good_bodies_pass(tools: Tools, tmp_path: Path) -> None:
    bodies = plain_bodies(_SEED, range(_CASES))
    assert guard.bypasses(guard.source(REFUSE), bodies, tools.decoder, tmp_path) == (_CASES, [])


def test_no_letter_of_unicode_stands_for_one_of_a_guarded_key(tools: Tools, tmp_path: Path) -> None:
    found = [
        Body("/api/chat", f'{{"model":"chat","{key.replace(letter, relative, 1)}":{value}}}'.encode())
        for letter, relatives in _relatives().items()
        for relative in relatives
        for key, value in (("model", '"secret"'), ("options", '{"num_ctx":9999}'), ("keep_alive", "0"))
        if letter in key
    ]
    verdicts = guard.judge(guard.source(REFUSE), found, tmp_path)
    refused = {body.content.decode() for body, of in zip(found, verdicts, strict=True) if of.status != 200}
    assert any("\u017f" in body for body in refused)
    assert any("\u212a" in body for body in refused)
    assert guard.bypasses(guard.source(REFUSE), found, tools.decoder, tmp_path)[1] == []


@pytest.mark.parametrize(
    ("check", "without"),
    [
        ("names[key] and key or folded(key)", "key"),
        (':gsub("\\226\\132\\170", "k")', ""),
        (':gsub("\\197\\191", "s")', ""),
        ("  if escaped then", "  if false then"),
        ('(depth == 2 and r.top == "options" and LOAD)', "false"),
        ('local loads = name == "keep_alive" or', "local loads ="),
        ('if name ~= "num_ctx" or tonumber(asked) ~= context then', "if false then"),
        ('not GUARD.names[role] or not (may == "all" or may[role])', "not GUARD.names[role]"),
        ("r.kept[r.depth] and r.comma or r.froms[r.depth] - 1", "r.froms[r.depth] - 1"),
        ("r.pending.to, r.pending = at, nil", "r.pending = nil"),
    ],
)
def test_the_fuzzer_finds_each_check_that_is_taken_out(
    tools: Tools, tmp_path: Path, check: str, without: str
) -> None:
    found, bodies = [], spoiled_bodies(_SEED, range(2 * _CASES))
    for rules in (REFUSE, IGNORE):
        text = guard.source(rules)
        assert text.count(check) == 1
        found += guard.bypasses(text.replace(check, without), bodies, tools.decoder, tmp_path)[1]
    assert found


def _relatives() -> dict[str, list[str]]:
    """By letter: the characters that some rule of Unicode takes for it."""
    found: dict[str, list[str]] = {}
    for number in range(0x80, 0x110000):
        if 0xD800 <= number < 0xE000:
            continue
        of = chr(number)
        folds = (of.lower(), of.upper().lower(), of.casefold(), unicodedata.normalize("NFKD", of).lower())
        for letter in {fold[:1] for fold in folds if "a" <= fold[:1] <= "z"}:
            found.setdefault(letter, []).append(of)
    return found
