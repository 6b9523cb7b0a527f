"""What a body may ask, by the real Envoy with a host's own configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.host.routes import ROUTES
from tests.fuzz import guard
from tests.fuzz.bodies import CONTEXT, PATHS, spoiled_bodies
from tests.fuzz.guard import REFUSE, ROLES
from tests.peers import envoy
from tests.peers.envoy import BLIND, Gateway
from tests.peers.guard_bodies import PASS, REFUSED
from tests.unit.samples import MODEL

_CASES = 400
_SEED = 1
_MIB = 1 << 20


@pytest.fixture(scope="module")
def gateway(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with envoy.serving(
        envoy_program, tmp_path_factory.mktemp("refuse"), envoy.configuration("refuse")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def ignoring(envoy_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with envoy.serving(
        envoy_program, tmp_path_factory.mktemp("ignore"), envoy.configuration("ignore")
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


_IMAGES = {
    "/api/generate": '"prompt":"What is it?","images":["%s"]',
    "/api/chat": '"messages":[{"role":"user","content":"What is it?","images":["%s"]}]',
    "/v1/chat/completions": '"messages":[{"content":[{"type":"text"},{"image_url":{"url":"%s"}}]}]',
    "/v1/responses": '"input":[{"content":[{"image_url":"%s"}]}]',
    "/v1/messages": '"messages":[{"content":[{"type":"image","source":{"data":"%s"}}]}]',
}


@pytest.mark.parametrize("path", _IMAGES)
def test_an_image_is_refused_where_the_model_sees_none(gateway: Gateway, path: str) -> None:
    for image in ("data:image/png;base64,QUJD", "QUJD" * 10_000):
        body = '{"model":"%s",' + _IMAGES[path] % image + "}"
        assert gateway.ask(path, (body % "chat").encode()).status_code == 200
        answer = gateway.ask(path, (body % "embed").encode())
        assert answer.status_code == 400
        assert "images: embed does not see any. Leave them out, or ask a role" in answer.text
    nothing = '{"model":"embed",' + _IMAGES[path] % "" + "}"
    assert gateway.ask(path, nothing.encode()).status_code == 200
    assert gateway.ask("/v1/images/edits", b'{"model":"embed","image":"QUJD"}').status_code == 200


@pytest.mark.parametrize(
    ("path", "rest", "becomes"),
    [
        ("/v1/chat/completions", '"n":1', '"top_p":0.9,"temperature":0,"n":1'),
        ("/v1/completions", '"top_p":0.5', '"temperature":0,"top_p":0.5'),
        ("/v1/responses", '"temperature":1,"top_p":null', '"temperature":1,"top_p":null'),
        ("/v1/messages", '"n":1', '"n":1'),
        ("/api/chat", '"n":1', '"n":1'),
    ],
)
def test_openai_clients_get_a_roles_parameters_where_they_say_none(
    gateway: Gateway, ignoring: Gateway, path: str, rest: str, becomes: str
) -> None:
    """Ollama would take 1 for what they do not say."""
    for running in (gateway, ignoring):
        answer = running.ask(path, f' {{{rest},"model":"secret"}}'.encode(), client="bob")
        assert answer.status_code == 200, answer.text
        reached = running.reached[-1].body.decode()
        assert json.loads(reached) == json.loads(f'{{{becomes},"model":"secret"}}')
    answer = ignoring.ask(path, f'{{"keep_alive":0,{rest},"model":"secret"}}'.encode(), client="bob")
    assert answer.headers["x-sealift-ignored"] == "keep_alive"
    assert json.loads(ignoring.reached[-1].body) == json.loads(f'{{{becomes},"model":"secret"}}')


def test_parameters_are_read_as_ollama_reads_them(gateway: Gateway) -> None:
    for bad in ('"Temperature":1', '"temperature":1,"temperature":2', '"TOP_P":1', '"temperature":[1]'):
        answer = gateway.ask("/v1/chat/completions", f'{{"model":"chat",{bad}}}'.encode())
        assert answer.status_code == 400


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
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        return
    if not path.startswith("/v1/"):
        assert error.startswith("model: secret is not for client alice.")
        return
    assert error.pop("message").startswith("model: secret is not for client alice.")
    assert error == {"type": "permission_error", "param": "model", "code": "model_not_allowed"}


def test_the_gateway_routes_no_body_that_the_guard_does_not_know() -> None:
    assert {route.path for route in ROUTES if route.method == "POST"} == set(PATHS)


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
    assert answer.headers["content-type"] == "application/json"
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
    assert f"Ask for one of: {BLIND}, chat, embed, secret, {MODEL}." in answer.json()["error"]
    assert gateway.ask("/api/chat", json.dumps({"model": MODEL}).encode()).status_code == 403


@pytest.mark.parametrize("path", ["/api/pull", "/api/create", "/api/Chat", "/api/chat/", "/v1/files"])
def test_a_path_that_the_guard_does_not_know_is_closed(gateway: Gateway, path: str) -> None:
    before = len(gateway.reached)
    answer = gateway.ask(path, b'{"model":"chat"}')
    assert answer.status_code == 404
    assert f"POST {path}: no such call here." in answer.text
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
def test_a_guard_that_breaks_lets_nothing_pass(
    envoy_program: Path, tmp_path: Path, name: str, break_: str
) -> None:
    of = envoy.configuration("refuse")
    (code,) = (each["typed_config"] for each in envoy.http_filters(of) if each["name"] == name)
    code["default_source_code"]["inline_string"] += f"\n{break_}\n"
    with envoy.serving(envoy_program, tmp_path, of) as broken:
        answer = broken.ask("/api/chat", b'{"model":"chat"}')
        assert answer.status_code in (403, 500), answer.text
        for path in ("/api/tags", "/api/ps", "/v1/models", "/v1/models/secret"):
            assert broken.look(path).status_code in (403, 404, 500, 502)
        assert broken.reached == []


def test_the_same_verdicts_come_from_envoy(gateway: Gateway, tmp_path: Path) -> None:
    bodies = spoiled_bodies(_SEED, range(_CASES))
    for body, verdict in zip(bodies, guard.judge(guard.source(REFUSE), bodies, tmp_path), strict=True):
        answer = gateway.ask(body.path, body.content)
        assert answer.status_code == verdict.status, body
        if verdict.status == 200:
            assert gateway.reached[-1].body == body.content
        else:
            assert verdict.message in answer.text.replace('\\"', '"')
