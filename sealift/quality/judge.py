"""Golden questions, asked by a callable and judged: nothing here knows of hosts.

Sources of the requests and of what comes back: docs/api.md of github.com/ollama/ollama v0.11.4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sealift.errors import SealiftError, printable
from sealift.quality.vectors import cosine
from sealift.release.questions import Form, Golden, Pair, Question, stands_in

Ask = Callable[[str, Mapping[str, object]], Any]
"""Sends a body to a path of a host's gateway; returns the answer, parsed. Raises SealiftError without one."""
SEED = 1
_SHOWN = 300  # characters of an answer


@dataclass(frozen=True)
class Verdict:
    """What came of a golden question.

    + said: the answer, or how alike both texts are, for people
    + problem: what is wrong with it, in a sentence; None where it is good
    """

    said: str
    problem: str | None


def judged(role: str, golden: Golden, ask: Ask) -> Verdict:
    """Ask a golden question, and judge the answer.

    + role: whom
    """
    path, body = request_of(role, golden)
    try:
        said = ask(path, body)
    except SealiftError as error:
        return Verdict("", str(error))
    return judge_pair(golden, said) if isinstance(golden, Pair) else judge_answer(golden, said)


def request_of(role: str, golden: Golden) -> tuple[str, dict[str, object]]:
    """The path and the body of a golden question: at temperature 0 and with one seed, to be repeated."""
    if isinstance(golden, Pair):
        return "/api/embed", {"model": role, "input": list(golden.texts)}
    messages = [message.model_dump() for message in golden.messages]
    body: dict[str, object] = {
        "model": role,
        "messages": messages or [{"role": "user", "content": golden.ask}],
        "options": {"temperature": 0, "seed": SEED, "num_predict": golden.tokens},
        "stream": False,
    }
    return "/api/chat", body if golden.format is None else {**body, "format": golden.format.schema_of_it}


def judge_answer(question: Question, said: Any) -> Verdict:
    """Judge what a role answers in words.

    + said: parsed JSON, of whatever form
    """
    message = said.get("message") if isinstance(said, dict) else None
    answer = message.get("content") if isinstance(message, dict) else None
    if not isinstance(answer, str):
        return Verdict(_shown(said), "is no answer of Ollama's")
    wrong = [f"has not {wanted!r}" for wanted in question.must if not stands_in(wanted, answer)]
    wrong += [f"has {unwanted!r}" for unwanted in question.must_not if stands_in(unwanted, answer)]
    if not answer.strip():
        wrong = ["is empty"]
    elif question.format is not None and (unfit := _unfit(question.format, answer)):
        wrong.append(unfit)
    return Verdict(_shown(answer.strip()), ", ".join(wrong) or None)


def judge_pair(pair: Pair, said: Any) -> Verdict:
    """Judge the embeddings of two texts.

    + said: parsed JSON, of whatever form
    """
    try:
        one, other = said["embeddings"]
        alike = cosine(one, other)
    except (TypeError, KeyError, ValueError, OverflowError):
        return Verdict(_shown(said), "are no two embeddings")
    problem = None
    if pair.at_least is not None and alike < pair.at_least:
        problem = f"are less alike than {pair.at_least:g}"
    elif pair.at_most is not None and alike > pair.at_most:
        problem = f"are more alike than {pair.at_most:g}"
    return Verdict(f"{alike:.3f}", problem)


def _unfit(form: Form, answer: str) -> str | None:
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return "is no JSON"
    return misfit(form, value)


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    **{"object": dict, "array": list, "string": str, "boolean": bool},
    **{"number": (int, float), "integer": int},
}


def misfit(form: Form, value: Any, at: str = "it") -> str | None:
    """Why a value has not a form; None where it has.

    + at: what it is, for people
    """
    is_number = form.type in ("number", "integer")
    if not isinstance(value, _TYPES[form.type]) or (is_number and isinstance(value, bool)):
        return f"{at} is no {form.type}"
    if form.enum and value not in form.enum:
        return f"{at} is none of {', '.join(form.enum)}"
    if isinstance(value, dict):
        for name in form.required:
            if name not in value:
                return f"{at} has no {name}"
        found = (misfit(its, value[name], name) for name, its in form.properties.items() if name in value)
        return next((wrong for wrong in found if wrong), None)
    if isinstance(value, list) and form.items is not None:
        return next((wrong for each in value if (wrong := misfit(form.items, each, "an entry"))), None)
    return None


def _shown(said: Any) -> str:
    """Foreign text, for people; of what has no end a part."""
    try:
        text = said if isinstance(said, str) else repr(said)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, nested lists
        text = "endless"
    return printable(text[:_SHOWN])
