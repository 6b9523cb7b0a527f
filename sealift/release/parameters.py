"""Parameters of roles and models, as Ollama keeps them in a layer of a model's manifest.

Sources: Options in api/types.go and setParameters in server/create.go of github.com/ollama/ollama v0.11.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.release.go_json import Value, go_json, go_value, single
from sealift.release.values import Few, Frozen, is_none

PARAMETERS_LIMIT = 64 << 10  # bytes of a model's own
# What a model is loaded with, and the key of a role that says the same. Ollama loads it anew where one of
# these is another than before. Sources: Runner in api/types.go, needsReload in server/sched.go.
LOAD_PARAMETERS = {
    **{"num_ctx": "context", "num_thread": "threads"},
    **dict.fromkeys(("num_batch", "num_gpu", "main_gpu", "use_mmap")),
}

_Share = Annotated[float, Field(strict=True, ge=0, le=1), AfterValidator(single)]
_Number = Annotated[float, Field(strict=True, ge=-100, le=100), AfterValidator(single)]
_Whole = Annotated[int, Field(strict=True, ge=-(1 << 31), lt=1 << 31)]
_Stop = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Parameters(Frozen):
    """How a role's model answers, in Ollama's words. What is left out is as the model itself has it."""

    temperature: Annotated[_Number, Field(ge=0)] | None = Field(
        default=None, exclude_if=is_none, description="0: the same answer each time"
    )
    top_k: _Whole | None = Field(
        default=None, exclude_if=is_none, description="of so many tokens the next one is drawn"
    )
    top_p: _Share | None = Field(
        default=None, exclude_if=is_none, description="of the likeliest tokens, up to this share together"
    )
    min_p: _Share | None = Field(
        default=None, exclude_if=is_none, description="of tokens at least so likely, beside the likeliest"
    )
    typical_p: _Share | None = Field(
        default=None, exclude_if=is_none, description="of the most typical tokens, up to this share together"
    )
    seed: _Whole | None = Field(
        default=None, exclude_if=is_none, description="the same one draws the same tokens"
    )
    num_predict: _Whole | None = Field(
        default=None, exclude_if=is_none, description="tokens of an answer at most; -1: until it ends"
    )
    num_keep: _Whole | None = Field(
        default=None, exclude_if=is_none, description="tokens at the start that stay when the context is full"
    )
    stop: Annotated[Few[_Stop], Field(min_length=1)] | None = Field(
        default=None, exclude_if=is_none, description="texts that end an answer, in place of the model's own"
    )
    repeat_last_n: _Whole | None = Field(
        default=None, exclude_if=is_none, description="tokens that are looked back for repeated ones; -1: all"
    )
    repeat_penalty: _Number | None = Field(
        default=None, exclude_if=is_none, description="above 1: repeats itself less"
    )
    presence_penalty: _Number | None = Field(
        default=None, exclude_if=is_none, description="above 0: names new things rather than old ones"
    )
    frequency_penalty: _Number | None = Field(
        default=None, exclude_if=is_none, description="above 0: says less what it said often"
    )

    @property
    def given(self) -> dict[str, Value]:
        """Those that are there, by Ollama's names."""
        return {name: value for name, value in self if value is not None}

    @property
    def for_openai(self) -> dict[str, str]:
        """Those that Ollama overrides where a client of OpenAI's API does not say them, as JSON.

        Source: `FromChatRequest` and `FromCompleteRequest` in openai/openai.go.
        """
        return {name: go_value(self.given[name]) for name in ("temperature", "top_p") if name in self.given}


def merged_parameters(of_model: str | None, own: Mapping[str, Value]) -> bytes:
    """The layer with a model's parameters and those that take their place, as `ollama create` merges them.

    + of_model: its layer, that is JSON; None where it has none

    Raises SealiftError where that is not as Ollama writes it.
    """
    both = {**({} if of_model is None else parse_parameters(of_model, "parameters")), **own}
    values = ",".join(f"{go_json(name)}:{go_value(value)}" for name, value in sorted(both.items()))
    return f"{{{values}}}\n".encode()


def parse_parameters(content: str, where: str) -> dict[str, Value]:
    """Parse a model's layer of parameters.

    + where: what it is, for messages

    Raises SealiftError where it is not as Ollama writes it.
    """
    found = parse_json(content.encode(), where)
    if not isinstance(found, dict):
        raise SealiftError(f"{where}: is no JSON object, expected one. Pull or make the model again.")
    try:
        go_json(found).encode()
    except UnicodeEncodeError:
        raise SealiftError(f"{where}: has half a character. Pull or make the model again.") from None
    return {name: _value(value, f"{where}: {one_line(name[:40])}") for name, value in found.items()}


def _value(value: object, where: str) -> Value:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(value, bool | str) or (isinstance(value, int | float) and abs(value) < 1e300):
        return value
    raise SealiftError(
        f"{where} is no number, text, true or false, nor a list of texts, expected one of these. "
        "Pull or make the model again."
    )
