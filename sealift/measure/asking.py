"""One request to a host's gateway, measured as its client sees it and as Ollama counts it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import requests
from pydantic import Field, SecretStr, ValidationError

from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.fleet.gateway import ANSWER_S, CONNECT_S, address_of, named_errors, session_for
from sealift.release.values import Foreign
from sealift.site.inventory import Host

_CHUNK = 1 << 16
_ANSWER = 64 << 20  # bytes of an answer; one of many tokens has some hundred for each
_LINE = 8 << 20  # bytes of a line of it; an embedding is one
_TOLD = 300  # characters of a refusal

_Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 62)]


@dataclass(frozen=True)
class Question:
    """A request.

    + role: who is to answer
    + numbers: whether it answers in numbers, as models of embeddings do
    + text: of the prompt
    + predict: tokens of the answer at most
    """

    role: str
    numbers: bool
    text: str
    predict: int

    @property
    def path(self) -> str:
        """What it is posted to."""
        return "/api/embed" if self.numbers else "/api/chat"

    @property
    def body(self) -> dict[str, object]:
        """As JSON. The answer is streamed, and always the same, whatever else would stop the role's model."""
        if self.numbers:
            return {"model": self.role, "input": self.text}
        return {
            "model": self.role,
            "messages": [{"role": "user", "content": self.text}],
            "stream": True,
            "options": {"temperature": 0, "seed": 1, "num_predict": self.predict, "stop": []},
        }


class Told(Foreign):
    """What Ollama counts of an answer; durations in nanoseconds. What is nothing is left out by it."""

    prompt_eval_count: _Count = 0
    eval_count: _Count = 0
    eval_duration: _Count = 0
    load_duration: _Count = 0

    @property
    def tokens_per_second(self) -> float | None:
        """Of the answer, without loading and reading the prompt. A single token was there already."""
        return (
            self.eval_count / self.eval_duration * 1e9 if self.eval_count > 1 and self.eval_duration else None
        )


@dataclass(frozen=True)
class Answered:
    """What came of a request.

    + first_s: seconds until the first word; None where there was none
    + answer_s: seconds until the end
    + told: None where it was not answered
    + status: HTTP's; 0 where nothing or nonsense came
    + problem: why it was not answered
    """

    answer_s: float
    first_s: float | None = None
    told: Told | None = None
    status: int = 200
    problem: str = ""


class Line:
    """Asks a host's gateway as a client, over connections that stay open. For any number of threads.

    + key: the client's
    + connections: as many as requests at once
    """

    def __init__(self, host: Host, key: SecretStr, connections: int) -> None:
        self._host = host
        self._address = address_of(host)
        self._session = session_for(host, key, connections)

    def ask(self, question: Question) -> Answered:
        """Send a request, and read its answer to the end; what goes wrong is part of the measurement."""
        began = time.monotonic()
        url = self._address + question.path
        try:
            with (
                named_errors(self._host, url),
                self._session.post(
                    url,
                    json=question.body,
                    timeout=(CONNECT_S, ANSWER_S),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                chunks = response.iter_content(_CHUNK)
                if response.status_code != requests.codes.ok:
                    said = refusal(next(chunks, b""))
                    return Answered(time.monotonic() - began, status=response.status_code, problem=said)
                answered = read_answer(self._host.name, question, chunks, began)
                next(chunks, b"")  # what ends the stream, so that the connection can be used again
                return answered
        except SealiftError as error:
            problem = str(error).removeprefix(f"{self._host.name}: ")
            return Answered(time.monotonic() - began, status=0, problem=problem)

    def close(self) -> None:
        """Close its connections."""
        self._session.close()


def read_answer(host: str, question: Question, chunks: Iterator[bytes], began: float) -> Answered:
    """Read a 200 answer: JSON, or a line of JSON for each piece of a stream.

    + chunks: of its body, as they come
    + began: the clock's time when the request was sent

    Raises SealiftError where it is not what Ollama says, too long, or takes too long.
    """
    first: float | None = None
    for line in _lines(host, chunks, began):
        said = parse_json(line, f"{host}: the answer")
        if not isinstance(said, dict) or "error" in said:
            raise SealiftError(
                f"{host}: answers {one_line(line[:_TOLD].decode(errors='replace'))}, expected words."
            )
        if question.numbers:
            if not said.get("embeddings"):
                break
            took = time.monotonic() - began
            return Answered(took, told=_told(host, said))
        if first is None and _says_something(said):
            first = time.monotonic() - began
        if said.get("done") is True:
            return Answered(time.monotonic() - began, first, _told(host, said))
    raise SealiftError(f"{host}: the answer has no end, expected one. Look at Ollama's log.")


def _lines(host: str, chunks: Iterator[bytes], began: float) -> Iterator[bytes]:
    held, total = b"", 0
    for chunk in chunks:
        total += len(chunk)
        *whole, held = (held + chunk).split(b"\n")
        if total > _ANSWER or len(held) > _LINE:
            raise SealiftError(f"{host}: the answer has more than {total - 1} bytes, expected fewer.")
        if time.monotonic() - began > ANSWER_S:
            raise SealiftError(f"{host}: the answer took more than {ANSWER_S} s, expected its end.")
        yield from (line for line in whole if line.strip())
    if held.strip():
        yield held


def _says_something(said: dict[str, Any]) -> bool:
    message = said.get("message")
    return isinstance(message, dict) and any(
        message.get(key) for key in ("content", "thinking", "tool_calls")
    )


def _told(host: str, said: dict[str, Any]) -> Told:
    try:
        return Told.model_validate(said)
    except ValidationError:
        raise SealiftError(
            f"{host}: the answer counts nothing, expected Ollama's numbers of tokens."
        ) from None


def refusal(body: bytes) -> str:
    """What an error says, in Ollama's form or another."""
    try:
        said = parse_json(body, "refusal")
    except SealiftError:
        said = None
    message = said.get("error") if isinstance(said, dict) else None
    text = message if isinstance(message, str) else body.decode(errors="replace")
    return one_line(text)[:_TOLD] or "says nothing"
