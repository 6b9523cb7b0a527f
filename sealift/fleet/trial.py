"""A smoke test of hosts through their gateways: keys, and every role in every form in which clients ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import requests
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.fleet.gateway import send
from sealift.host.client_limits import Api, form_of
from sealift.site.inventory import Host

_PROMPT = "What is the capital of France?"
_MOST = 200  # characters that are shown of what is no answer
_TOKENS = 16  # of an answer: enough to see words
_MESSAGES = [{"role": "user", "content": _PROMPT}]
_OPTIONS = {"num_predict": _TOKENS}


@dataclass(frozen=True)
class Call:
    """A form in which clients ask a role.

    + rest: of the body, beside the model
    + answered: the places where an answer may stand in what comes back, each a path of keys
    """

    path: str
    rest: Mapping[str, object]
    answered: tuple[tuple[str | int, ...], ...]


@dataclass(frozen=True)
class Trial:
    """What was tried, and what came of it.

    + role: None for what is no role's, such as a key
    + seconds: until all of the answer was there
    + problem: a sentence without the host's name; None where all is well
    """

    host: str
    role: str | None
    call: str
    seconds: float
    problem: str | None


# A model that thinks may not come to its answer in so few tokens: its thoughts count.
# Source: `api/types.go` and `openai/openai.go` of github.com/ollama/ollama.
_IN_WORDS = (
    Call(
        "/api/generate",
        {"prompt": _PROMPT, "stream": False, "options": _OPTIONS},
        (("response",), ("thinking",)),
    ),
    Call(
        "/api/chat",
        {"messages": _MESSAGES, "stream": False, "options": _OPTIONS},
        (("message", "content"), ("message", "thinking")),
    ),
    Call(
        "/v1/chat/completions",
        {"messages": _MESSAGES, "max_tokens": _TOKENS},
        (("choices", 0, "message", "content"), ("choices", 0, "message", "reasoning")),
    ),
)
_IN_NUMBERS = (
    Call("/api/embed", {"input": _PROMPT}, (("embeddings", 0, 0),)),
    Call("/api/embeddings", {"prompt": _PROMPT}, (("embedding", 0),)),
    Call("/v1/embeddings", {"input": _PROMPT}, (("data", 0, "embedding", 0),)),
)


@dataclass(frozen=True)
class Asking:
    """Whom a host is tried as.

    + key: a client's
    + roles: that it may ask for, of those that the host serves
    + paths: forms in which it may ask
    + looking: key of a client that may look at models
    """

    key: SecretStr
    roles: tuple[str, ...]
    paths: tuple[Api, ...]
    looking: SecretStr


def try_host(host: Host, asking: Asking, tell: Callable[[str], None]) -> Iterator[Trial]:
    """Try what clients of a host do, one thing after another. A host that lets nobody in is tried no further.

    + tell: takes what is tried now
    """
    key = asking.key
    tell(f"{host.name}: keys")
    right = _key(host, key, "right key", requests.codes.ok)
    yield right
    if right.problem:
        return
    yield _key(host, _another(key), "wrong key", requests.codes.unauthorized)
    looking = key if "native" in asking.paths else asking.looking
    for role in asking.roles:
        tell(f"{host.name}: {role}")
        shown, said = _ask(host, looking, role, "/api/show", {})
        if looking is key or shown.problem:
            yield shown
        if shown.problem:
            continue
        for call in calls_of(said):
            if form_of(call.path) not in asking.paths:
                continue
            tell(f"{host.name}: {role} by {call.path}")
            trial, said = _ask(host, key, role, call.path, call.rest)
            if trial.problem is None and not is_answered(call, said):
                problem = (
                    f"answers {str(said)[:_MOST]!r}, expected an answer of the model. Run sealift verify."
                )
                trial = replace(trial, problem=problem)
            yield trial


def calls_of(shown: object) -> tuple[Call, ...]:
    """How clients ask a model: some answer in words, some in numbers.

    + shown: what Ollama says about it. `capabilities` stands there since 0.6.4; without them, in words
    """
    capabilities = shown.get("capabilities") if isinstance(shown, dict) else None
    return _IN_NUMBERS if isinstance(capabilities, list) and "embedding" in capabilities else _IN_WORDS


def is_answered(call: Call, said: object) -> bool:
    """Whether an answer stands in what came back, and is not empty.

    + said: parsed JSON, of whatever form
    """
    return any(_at(said, path) not in (None, "") for path in call.answered)


def _at(said: object, path: tuple[str | int, ...]) -> object:
    """What stands at a place; None where nothing does."""
    for key in path:
        if isinstance(said, dict):
            said = said.get(key)
        elif isinstance(said, list) and isinstance(key, int) and key < len(said):
            said = said[key]
        else:
            return None
    return said.strip() if isinstance(said, str) else said


def _ask(
    host: Host, key: SecretStr, role: str, path: str, rest: Mapping[str, object]
) -> tuple[Trial, object]:
    """Ask a role; beside the trial, what came back, parsed."""
    began = time.monotonic()
    said: object = None
    try:
        answer = send(host, key, "POST", path, {"model": role, **rest})
        problem = _wrong_status(answer, requests.codes.ok)
        if problem is None:
            said = answer.json()
    except SealiftError as error:
        problem = str(error).removeprefix(f"{host.name}: ")
    except (ValueError, RecursionError):
        problem = f"answers {answer.text[:_MOST]!r}, expected JSON. Run sealift verify."
    return Trial(host.name, role, f"POST {path}", _since(began), problem), said


def _key(host: Host, key: SecretStr, what: str, expected: int) -> Trial:
    began = time.monotonic()
    try:
        problem = _wrong_status(send(host, key, "GET", "/api/version"), expected)
    except SealiftError as error:
        problem = str(error).removeprefix(f"{host.name}: ")
    return Trial(host.name, None, what, _since(began), problem)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _wrong_status(answer: requests.Response, expected: int) -> str | None:
    if answer.status_code == expected:
        return None
    return f"answers {answer.status_code} {_told(answer)!r}, expected {expected}. Run sealift status."


def _told(answer: requests.Response) -> str:
    """The message of an error, in whichever form it stands."""
    try:
        said = answer.json()
    except (ValueError, RecursionError):
        said = None
    message = _at(said, ("error", "message")) or _at(said, ("error",))
    return message if isinstance(message, str) else answer.text[:_MOST]


def _another(key: SecretStr) -> SecretStr:
    """A key that is nobody's."""
    value = key.get_secret_value()
    return SecretStr(value[:-1] + ("a" if value[-1] != "a" else "b"))
