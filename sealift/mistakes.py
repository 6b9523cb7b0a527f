"""What pydantic finds wrong, in the words of our messages: `key.key: what is wrong`."""

from __future__ import annotations

import difflib
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sealift.errors import one_line

_SHOWN = 80  # characters of a value, which may be anything
TYPO = 0.7  # as difflib measures likeness: `form` and `from` have 0.75


def every(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """All mistakes, each with its place, without a full stop.

    + model: what was to be parsed; with it, an unknown key is told with the nearest that is known
    """
    return [
        f"{place(item)}: {wrong(item)}{_nearest(item, model) if model else ''}" for item in error.errors()
    ]


def first(error: ValidationError) -> str:
    """The first mistake: of what a program wrote, the others say no more."""
    item = error.errors()[0]
    return f"{place(item)}: {wrong(item)}"


def place(item: ErrorDetails) -> str:
    """The key's path, such as `roles.chat.model`."""
    path = ".".join(str(part) for part in item["loc"] if part != "[key]")
    return one_line(path[:_SHOWN]) or "the whole"


def wrong(item: ErrorDetails) -> str:
    """What is wrong with it, with the value where there is one."""
    shown, said = _shown(item["input"]), item["msg"]
    match item["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is unknown"
        case "string_type":
            return f"is {shown}, expected text"
        case "literal_error":
            return f"{shown} is not possible, expected {item['ctx']['expected']}"
        case "too_long":
            return f"has more than {item['ctx']['max_length']} entries"
        case "model_type" | "dict_type":
            return f"is {shown}, expected keys with values"
        case _:
            return f"is {shown}: {said[:1].lower()}{said[1:]}"


def _nearest(item: ErrorDetails, model: type[BaseModel]) -> str:
    """Of an unknown key: the nearest in the table that it stands in."""
    if item["type"] != "extra_forbidden":
        return ""
    *tables, key = item["loc"]
    known = _fields(model)
    for table in tables:
        kind = known.get(table)
        kinds = [each for each in (kind, *get_args(kind)) if isinstance(each, type)]
        known = next((_fields(each) for each in kinds if issubclass(each, BaseModel)), {})
    near = difflib.get_close_matches(str(key), map(str, known), n=1, cutoff=TYPO)
    return f", the nearest is {near[0]}" if near else ""


def _fields(model: type[BaseModel]) -> dict[int | str, object]:
    """By a key's name in files, its type."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, nested lists
        return "endless"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
