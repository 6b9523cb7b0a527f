"""Golden questions: what a role is asked before its release is trusted, and how a good answer is told.

All of it comes with the release, so it may say nothing that takes long to judge: regular expressions are
Rust's, which have no backtracking, without counted repetition, which can be endless to prepare; and the form
of an answer is the few words of JSON Schema that are here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from pydantic_core import SchemaError

from sealift.files import canonical_json
from sealift.release.values import Frozen, is_empty, is_none

MOST = 200  # questions of a role
_TEXT = 8000  # characters of a prompt: a page or two
_WANTED = 200  # characters of a text or an expression that is looked for

Text = Annotated[str, StringConstraints(min_length=1, max_length=_TEXT)]
Cosine = Annotated[float, Field(strict=True, ge=-1, le=1)]


def _expression(text: str) -> str | None:
    """The regular expression of `/.../`; None where it is plain text."""
    return text[1:-1] if len(text) > 2 and text.startswith("/") and text.endswith("/") else None


@lru_cache(maxsize=1024)
def _matcher(expression: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=expression)])


def _can_be_looked_for(text: str) -> str:
    expression = _expression(text)
    if expression is not None:
        if "{" in expression:
            raise ValueError("expected a regular expression without { }: write out what is repeated")
        try:
            _matcher(expression)
        except SchemaError:
            raise ValueError("expected a regular expression without lookaround, as Rust has them") from None
    return text


Wanted = Annotated[
    str,
    StringConstraints(min_length=1, max_length=_WANTED),
    AfterValidator(_can_be_looked_for),
]
_Some = Annotated[tuple[Wanted, ...], Field(max_length=50)]


def stands_in(wanted: str, answer: str) -> bool:
    """Whether an answer has a text, in large letters or small, or matches a regular expression.

    + wanted: text, or /EXPRESSION/
    """
    expression = _expression(wanted)
    if expression is None:
        return wanted.casefold() in answer.casefold()
    try:
        _matcher(expression).validate_python(answer)
    except ValidationError:
        return False
    return True


class Form(Frozen):
    """The form of an answer in JSON, to which Ollama holds the model, in words of JSON Schema."""

    type: Literal["object", "array", "string", "number", "integer", "boolean"] = Field(
        description="what kind of value it is"
    )
    enum: Annotated[tuple[str, ...], Field(max_length=100)] = Field(
        default=(), exclude_if=is_empty, description="texts, one of which it is"
    )
    properties: Annotated[dict[str, Form], Field(max_length=100)] = Field(
        default={}, exclude_if=is_empty, description="of an object"
    )
    required: Annotated[tuple[str, ...], Field(max_length=100)] = Field(
        default=(), exclude_if=is_empty, description="of an object's properties"
    )
    items: Form | None = Field(default=None, exclude_if=is_none, description="of an array, each")

    @property
    def schema_of_it(self) -> dict[str, Any]:
        """It as JSON Schema."""
        return self.model_dump(mode="json")


class Message(Frozen):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"] = Field(description="whose it is")
    content: Text = Field(description="what it says")


class Question(Frozen):
    """What a role is asked, at temperature 0 and with one seed, and what its answer has."""

    ask: Text | None = Field(default=None, exclude_if=is_none, description="the prompt; or messages")
    messages: Annotated[tuple[Message, ...], Field(max_length=50)] = Field(
        default=(), exclude_if=is_empty, description="or a conversation, of which the last is the user's"
    )
    must: _Some = Field(
        default=(),
        exclude_if=is_empty,
        description="every one of these is in the answer: text, in large or small letters, or /EXPRESSION/",
    )
    must_not: _Some = Field(default=(), exclude_if=is_empty, description="none of these is in it")
    format: Form | None = Field(
        default=None, exclude_if=is_none, description="JSON that Ollama holds the model to, and that it is"
    )
    tokens: int = Field(default=128, ge=1, le=4096, description="of an answer at most")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.ask is None) == (not self.messages):
            raise ValueError("expected ask or messages, one of them")
        if self.messages and self.messages[-1].role != "user":
            raise ValueError("expected the last of messages to be the user's")
        if not (self.must or self.must_not or self.format):
            raise ValueError("expected must, must_not or format: any answer would be good")
        return self

    @property
    def title(self) -> str:
        """For people: what is asked."""
        return self.ask if self.ask is not None else self.messages[-1].content


class Pair(Frozen):
    """Two texts, and how alike a role's embeddings of them are: the cosine, of which 1 is the same."""

    texts: tuple[Text, Text] = Field(description="the two of them")
    at_least: Cosine | None = Field(default=None, exclude_if=is_none, description="of related texts")
    at_most: Cosine | None = Field(default=None, exclude_if=is_none, description="of unrelated texts")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("expected at_least or at_most: any two texts would do")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("expected at_least to be at_most or less")
        return self

    @property
    def title(self) -> str:
        """For people: both texts."""
        return " / ".join(self.texts)


Golden = Question | Pair


def identity(role: str, golden: Golden) -> str:
    """The same for the same question of the same role, in whatever release it stands."""
    return f"{role} {canonical_json(golden.model_dump(mode='json')).decode()}"
