"""A Modelfile, read as `ollama create` reads it.

Source of the format: parser/parser.go of github.com/ollama/ollama v0.11.4; of the parameters, Options and
FormatParams in api/types.go there. What Ollama would read but is not built here is refused by name.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sealift.errors import SealiftError
from sealift.release.go_json import Value, single

LIMIT = 1 << 20  # bytes
_LICENCES = 32

Kind = Literal["int", "float", "bool", "texts"]

_INTEGERS = (
    *("num_keep", "seed", "num_predict", "top_k", "repeat_last_n"),
    *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread"),
)
_FLOATS = (
    *("top_p", "min_p", "typical_p", "temperature"),
    *("repeat_penalty", "presence_penalty", "frequency_penalty"),
)
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(_INTEGERS, "int"),
    **dict.fromkeys(_FLOATS, "float"),
    "use_mmap": "bool",
    "stop": "texts",
}
# Ollama warns of these and leaves them out.
_LEFT_OUT = frozenset(
    {
        *("penalize_newline", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock"),
        *("mirostat", "mirostat_tau", "mirostat_eta"),
    }
)
# Source: strconv.ParseBool of Go.
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_FLOAT = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9})([eE][+-]?[0-9]{1,2})?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

_COMMANDS = ("from", "license", "template", "system", "adapter", "parameter", "message")
_ROLES = ("system", "user", "assistant")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*+")
_COMMAND = re.compile(r"([A-Za-z]+)[ \t]")
_KEY = re.compile(r"([A-Za-z0-9_]+)[ \t]")
_LINE = re.compile(r"[^\r\n]*")


@dataclass
class _Read:
    """What has been read so far; a scalar that comes again replaces what was there."""

    sources: list[str] = field(default_factory=list)
    template: str = ""
    system: str = ""
    licences: list[str] = field(default_factory=list)
    parameters: dict[str, Value] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Modelfile:
    """What a Modelfile says.

    + source: the path that FROM has
    + template, system: empty where there is none
    + parameters: by name
    + messages: role and content
    """

    source: str
    template: str
    system: str
    licences: tuple[str, ...]
    parameters: dict[str, Value]
    messages: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Command:
    line: int
    name: str  # in small letters
    key: str  # of a parameter, or the role of a message
    value: str


def parse_modelfile(content: bytes, where: str) -> Modelfile:
    """Parse a Modelfile.

    + where: what it is, for messages

    Raises SealiftError with a line per mistake.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SealiftError(f"{where}: is not UTF-8. Save it as UTF-8.") from None
    read, mistakes = _Read(), []
    for command in _commands(text, where):
        try:
            _take(command, read)
        except ValueError as error:
            mistakes.append(f"{where}: line {command.line}: {error}")
    if len(read.sources) != 1 and not mistakes:
        mistakes.append(
            f"{where}: has FROM {len(read.sources)} times, expected once: a model of several files is not "
            "built here. Name one .gguf file."
        )
    if len(read.licences) > _LICENCES:
        mistakes.append(
            f"{where}: has {len(read.licences)} licences, expected {_LICENCES} at most. Join some."
        )
    if mistakes:
        raise SealiftError("\n".join(mistakes))
    return Modelfile(
        source=read.sources[0],
        template=read.template,
        system=read.system,
        licences=tuple(read.licences),
        parameters=read.parameters,
        messages=tuple(read.messages),
    )


def _take(command: _Command, read: _Read) -> None:
    """Note a command. Raises ValueError with what is wrong and what to do."""
    match command.name:
        case "from":
            read.sources.append(command.value)
        case "template":
            read.template = command.value
        case "system":
            read.system = command.value
        case "license":
            read.licences.append(command.value)
        case "message":
            read.messages.append((command.key, command.value))
        case "adapter":
            raise ValueError("ADAPTER is not built here. Merge the adapter into the .gguf file.")
        case _:
            _take_parameter(command, read)


def _take_parameter(command: _Command, read: _Read) -> None:
    name, value = command.key, command.value
    if name in _LEFT_OUT:
        return
    if name not in _KINDS:
        near = difflib.get_close_matches(name, _KINDS, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Remove it."
        raise ValueError(f"Ollama has no parameter {name}. {remedy}")
    if _KINDS[name] == "texts":
        before = read.parameters.get(name, ())
        read.parameters[name] = (*(before if isinstance(before, tuple) else ()), value)
        return
    found = _scalar(_KINDS[name], value)
    if found is None:
        expected = {"int": "a whole number", "float": "a number", "bool": "true or false"}[_KINDS[name]]
        raise ValueError(f"PARAMETER {name} is {value[:40]!r}, expected {expected}. Correct it.")
    read.parameters[name] = found


def _scalar(kind: Kind, value: str) -> Value | None:
    if kind == "bool":
        return value in _TRUE if value in (*_TRUE, *_FALSE) else None
    if kind == "int":
        return int(value) if _INTEGER.fullmatch(value) else None
    return single(float(value)) if _FLOAT.fullmatch(value) else None


def _commands(text: str, where: str) -> Iterator[_Command]:
    """Every command. Raises SealiftError at the first that is none."""
    position, line, counted = 0, 1, 0
    while (start := _skip(_BETWEEN, text, position)) < len(text):
        line, counted = line + text.count("\n", counted, start), start
        try:
            name, key, position = _head(text, start)
            end = _end_of_value(text, position)
            if end is None:
                raise ValueError(f"the value of {name.upper()} has no closing quotes. Add them.")
            value = _unquoted(_kept(text[position:end]).strip(" \t\r\n"))
        except ValueError as error:
            raise SealiftError(f"{where}: line {line}: {error}") from None
        yield _Command(line, name, key, value)
        position = end


def _head(text: str, start: int) -> tuple[str, str, int]:
    """Name and key of a command, and where its value begins. Raises ValueError where it is none."""
    head = _COMMAND.match(text, start)
    if head is None or head[1].lower() not in _COMMANDS:
        word = re.split(r"[ \t\r\n]", text[start : start + 20])[0]
        known = ", ".join(command.upper() for command in _COMMANDS)
        raise ValueError(f"{word!r} is no command with a value, expected one of {known}. Correct it.")
    name = head[1].lower()
    if name not in ("parameter", "message"):
        return name, "", head.end()
    key = _KEY.match(text, head.end())
    if key is None or (name == "message" and key[1] not in _ROLES):
        expected = "a name" if name == "parameter" else f"one of {', '.join(_ROLES)}"
        raise ValueError(f"{name.upper()} needs {expected} and a value, one blank between. Correct it.")
    return name, key[1], key.end()


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return position if found is None else found.end()


def _end_of_value(text: str, start: int) -> int | None:
    """Where a value ends: with its line or, where it is quoted, with the first line that ends in quotes."""
    end = _skip(_LINE, text, start)
    first = _kept(text[start:end]).strip(" \t")
    mark = next((mark for mark in ('"""', '"') if first.startswith(mark)), "")
    if not mark or (len(first) >= 2 * len(mark) and first.endswith(mark)):
        return end
    while end < len(text):
        line = end + 1
        end = _skip(_LINE, text, line)
        if _kept(text[line:end]).rstrip(" \t").endswith(mark):
            return end
    return None


def _unquoted(value: str) -> str:
    mark = next((mark for mark in ('"""', '"') if value.startswith(mark)), "")
    return value[len(mark) : len(value) - len(mark)]


def _kept(text: str) -> str:
    """A value without what Ollama leaves out: everything that Go's strconv.IsPrint is false for, but blanks.

    Raises ValueError at a character that this Python's Unicode does not know: another one's may.
    """
    if text.isprintable():
        return text
    for character in text:
        if not character.isprintable() and unicodedata.category(character) == "Cn":
            raise ValueError(f"has the unknown character U+{ord(character):04X}. Remove it.")
    return "".join(character for character in text if character.isprintable() or character in "\t\r\n")
