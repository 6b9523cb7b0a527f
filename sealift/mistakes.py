"""What pydantic finds wrong, in the words of our messages: `key.key: what is wrong`."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sealift.errors import one_line

_SHOWN = 80  # characters of a value, which may be anything


def every(error: ValidationError) -> list[str]:
    """All mistakes, each with its place, without a full stop."""
    return [f"{place(item)}: {wrong(item)}" for item in error.errors()]


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


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python writes, nested lists
        return "endless"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
