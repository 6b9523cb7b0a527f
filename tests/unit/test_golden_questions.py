"""Golden questions: what a release may ask, how it is asked, and how answers are judged."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sealift.errors import SealiftError
from sealift.quality.judge import SEED, judge_pair, judged, misfit, request_of
from sealift.quality.vectors import cosine
from sealift.release.questions import Form, Golden, Pair, Question, identity, stands_in
from sealift.release.role import Role

ASKED = {"ask": "What is the capital of France?"}
PARIS = Question.model_validate({**ASKED, "must": ["Paris"], "must_not": ["London", "/[0-9]/"]})
RELATED = Pair.model_validate({"texts": ["a dog", "a puppy"], "at_least": 0.7})


def _judged(golden: Golden, said: Any) -> str | None:
    return judged("chat", golden, lambda *_: said).problem


def _answer(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}, "done": True}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("The capital of France is Paris.", None),
        ("PARIS", None),
        ("It is Lyon.", "has not 'Paris'"),
        ("Paris or London.", "has 'London'"),
        ("Paris, since 987.", "has '/[0-9]/'"),
        ("London 1", "has not 'Paris', has 'London', has '/[0-9]/'"),
        ("", "is empty"),
        (" \n", "is empty"),
    ],
)
def test_an_answer_has_all_that_it_must_and_nothing_that_it_must_not(
    answer: str, problem: str | None
) -> None:
    assert _judged(PARIS, _answer(answer)) == problem


@pytest.mark.parametrize("said", [None, [], 5, {}, {"message": "Paris"}, {"message": {"content": None}}])
def test_what_is_no_answer_is_told(said: Any) -> None:
    assert _judged(PARIS, said) == "is no answer of Ollama's"
    assert _judged(RELATED, said) == "are no two embeddings"


def test_a_host_that_does_not_answer_is_told() -> None:
    def ask(path: str, body: Mapping[str, object]) -> Any:
        raise SealiftError("h1: answers 500")

    assert judged("chat", PARIS, ask).problem == "h1: answers 500"


def test_questions_can_be_repeated() -> None:
    path, body = request_of("chat", PARIS)
    assert (path, body["options"]) == ("/api/chat", {"temperature": 0, "seed": SEED, "num_predict": 128})
    assert body["messages"] == [{"role": "user", "content": ASKED["ask"]}]
    assert "format" not in body
    assert request_of("embed", RELATED) == ("/api/embed", {"model": "embed", "input": ["a dog", "a puppy"]})


def test_an_answer_of_a_form_is_asked_for_and_judged() -> None:
    form = {
        "type": "object",
        "properties": {"mood": {"type": "string", "enum": ["glad", "sad"]}, "why": {"type": "array"}},
        "required": ["mood"],
    }
    question = Question.model_validate({**ASKED, "format": form})
    assert request_of("classify", question)[1]["format"] == form
    assert _judged(question, _answer('{"mood": "sad"}')) is None
    assert _judged(question, _answer("sad")) == "is no JSON"
    assert _judged(question, _answer('{"mood": "angry"}')) == "mood is none of glad, sad"
    assert _judged(question, _answer("{}")) == "it has no mood"
    assert _judged(question, _answer('{"mood": "sad", "why": 1}')) == "why is no array"
    assert _judged(question, _answer("[" * 100_000)) == "is no JSON"


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ({"type": "integer"}, 3, True),
        ({"type": "integer"}, 3, 3.5),
        ({"type": "number"}, 3.5, "3.5"),
        ({"type": "boolean"}, False, 0),
        ({"type": "array", "items": {"type": "string"}}, ["a"], ["a", 1]),
    ],
)
def test_forms_are_those_of_json_schema(form: dict[str, Any], good: Any, bad: Any) -> None:
    assert misfit(Form.model_validate(form), good) is None
    assert misfit(Form.model_validate(form), bad) is not None


def test_pairs_are_told_by_their_cosine() -> None:
    far = Pair.model_validate({"texts": ["a", "b"], "at_most": 0.3})
    one, near, apart = [1.0, 0.0], [2.0, 0.1], [0.0, 1.0]
    assert judge_pair(RELATED, {"embeddings": [one, near]}).problem is None
    assert judge_pair(RELATED, {"embeddings": [one, apart]}).problem == "are less alike than 0.7"
    assert judge_pair(far, {"embeddings": [one, near]}).problem == "are more alike than 0.3"
    assert judge_pair(far, {"embeddings": [one, apart]}) == type(judge_pair(far, None))("0.000", None)


@pytest.mark.parametrize("other", [[0.0, 0.0], [1.0], [math.nan, 1.0], [math.inf, 1.0], ["1", "2"], None])
def test_what_is_no_embedding_is_not_alike(other: Any) -> None:
    assert judge_pair(RELATED, {"embeddings": [[1.0, 0.0], other]}).problem == "are no two embeddings"


def test_cosine() -> None:
    assert cosine([3, 4], [6, 8]) == pytest.approx(1)
    assert cosine([1, 0], [-1, 0]) == pytest.approx(-1)


def test_no_regular_expression_takes_long() -> None:
    """What would take Python's own longer than anybody waits."""
    began = time.monotonic()
    assert not stands_in("/^(a+)+$/", "a" * 50_000 + "!")
    assert stands_in("/^(a|aa)+$/", "a" * 50_000)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("wanted", [r"/\bParis\b/", "/(?i)PARIS/", "paris", "Paris."])
def test_texts_and_expressions_are_found(wanted: str) -> None:
    assert stands_in(wanted, "It is\nParis.")
    assert not stands_in(wanted, "It is Lyon.")


def test_an_expression_can_tell_words_apart() -> None:
    assert stands_in("sad", "Sadly not.") and not stands_in(r"/\bsad\b/", "Sadly not.")


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"must": ["x"]}, "expected ask or messages, one of them"),
        ({**ASKED, "messages": [{"role": "user", "content": "x"}], "must": ["x"]}, "one of them"),
        ({"messages": [{"role": "assistant", "content": "x"}], "must": ["x"]}, "to be the user's"),
        (ASKED, "any answer would be good"),
        ({**ASKED, "must": [""]}, "at least 1 character"),
        ({**ASKED, "must": ["/(?=x)/"]}, "without lookaround"),
        ({**ASKED, "must": ["/(/"]}, "expected a regular expression"),
        ({**ASKED, "must": [r"/(\w{500}){500}/"]}, "without { }"),
        ({**ASKED, "must": ["x" * 201]}, "at most 200 characters"),
        ({**ASKED, "must": ["x"], "tokens": 5000}, "less than or equal to 4096"),
        ({**ASKED, "format": {"type": "object", "$ref": "http://x"}}, "not permitted"),
    ],
)
def test_questions_that_say_nothing_or_too_much_are_refused(given: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        Question.model_validate(given)


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"texts": ["a", "b"]}, "any two texts would do"),
        ({"texts": ["a", "b"], "at_least": 0.5, "at_most": 0.4}, "to be at_most or less"),
        ({"texts": ["a"], "at_least": 0.5}, "Field required|at least 2"),
        ({"texts": ["a", "b"], "at_least": 2}, "less than or equal to 1"),
    ],
)
def test_pairs_that_say_nothing_are_refused(given: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        Pair.model_validate(given)


def test_a_question_is_the_same_in_another_release_and_not_for_another_role() -> None:
    again = Question.model_validate(PARIS.model_dump(mode="json"))
    assert identity("chat", again) == identity("chat", PARIS)
    assert len({identity("chat", PARIS), identity("chat", RELATED), identity("other", PARIS)}) == 3


def test_what_the_docs_show_is_understood() -> None:
    text = (Path(__file__).parents[2] / "docs/quality.md").read_text()
    shown = re.findall(r"(?m)^    roles:\n(?:^     .*\n)+", text)
    roles = [role for block in shown for role in yaml.safe_load(block)["roles"].values()]
    assert len(roles) == 6
    for role in roles:
        Role.model_validate(role)
