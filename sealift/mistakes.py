"""What pydantic finds wrong, in the words of our messages: `key.key: what is wrong`."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_SHOWN = 80  # characters of a value, which may be anything


def every(error: ValidationError) -> list[str]:
    """All mistakes, each with its place, without a full stop."""
    return [f"{place(item)}: {wrong(item)}" for item in error.errors()]


def first(error: ValidationError) -> str:
    """The first mistake: of what a program wrote, the others say no more."""
    return every(error)[0]


def place(item: ErrorDetails) -> str:
    """The key's path, such as `roles.chat.model`."""
    return ".".join(str(part) for part in item["loc"] if part != "[key]")[:_SHOWN] or "the whole"


def wrong(item: ErrorDetails) -> str:
    """What is wrong with it, with the value where there is one."""
    value, said = repr(item["input"]), item["msg"]
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    match item["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known here"
        case "string_type":
            return f"is {shown}, expected text"
        case "literal_error":
            return f"{shown} is not possible, expected {item['ctx']['expected']}"
        case "model_type" | "dict_type":
            return f"is {shown}, expected keys with values"
        case _:
            return f"is {shown}: {said[:1].lower()}{said[1:]}"
