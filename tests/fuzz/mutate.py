"""Spoils good input: bytes, numbers, texts, the tree of a JSON document, the parts that a file is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Case = tuple[tuple[str, bytes], ...]
"""The named parts of an input, such as an archive's members; an input of one piece has one part."""

LARGEST = 256 << 10  # bytes of a part

_NUMBERS = (
    *("-1", "0", "1", "00", "255", "65536", "4294967296", "9007199254740992", "18446744073709551616"),
    *("9" * 400, "9" * 5000, "0x" + "f" * 5000, "1e999", "-0.0", "NaN", "Infinity", "1_000", "\u0663\u0663"),
)
_TEXTS = (
    *(
        "",
        "\0",
        "\n",
        "\r\n",
        "\x1b[2J\x1b]0;x\x07",
        "../../../../tmp/out",
        "/etc/shadow",
        "..",
        ".",
        "-",
        "--",
    ),
    *(
        "A" * 5000,
        "\udcff",
        "\ud800",
        "\u202e",
        "\u0130",
        "e\u0301",
        "\U0001f600",
        "%s%n",
        "{0}",
        "[/red]",
        "~",
    ),
    *(
        "a\nsealift: all is well",
        "sha256:" + "0" * 64,
        "sha256:" + "A" * 64,
        "null",
        "x" * 300,
        "\x7f\x85\u2028",
    ),
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2**53, 2**64, 10**400, 1.5, 1e308, float("nan"), float("inf")),
    *([], {}, [[]], [None], {"": None}, [{}] * 200, *_TEXTS),
)
_WORD = re.compile(rb"[A-Za-z0-9_.-]+")
_NUMBER = re.compile(rb"[0-9]+")


def spoil(rng: Random, seeds: Sequence[Case], words: Sequence[bytes]) -> Case:
    """A case made of a seed by a few changes.

    + seeds: good input; parts of others are spliced in
    + words: that mean something in this format
    """
    parts = list(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if not parts:
            break
        number = rng.randrange(len(parts))
        name, content = parts[number]
        change = rng.random()
        if len(parts) == 1 or change < 0.85:
            other = rng.choice(rng.choice(seeds))[1]
            parts[number] = (name, spoil_bytes(rng, content, other, words)[:LARGEST])
        elif change < 0.90:
            parts[number] = (_spoil_name(rng, name), content)
        elif change < 0.93:
            parts.insert(rng.randrange(len(parts) + 1), (name, rng.choice(parts)[1]))
        elif change < 0.96:
            del parts[number]
        else:
            rng.shuffle(parts)
    return tuple(parts)


def spoil_bytes(rng: Random, content: bytes, other: bytes, words: Sequence[bytes]) -> bytes:
    """Change one thing.

    + other: content to splice in
    """
    if content[:1] in (b"{", b"[") and rng.random() < 0.6:
        return _spoil_json(rng, content)
    return rng.choice(_CHANGES)(rng, content, other, words)


def _spoil_name(rng: Random, name: str) -> str:
    return rng.choice((*_TEXTS, f"{name}/x", f"./{name}", name.upper(), f"{name}\0", f"a/../../{name}"))


def _flip(rng: Random, content: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) or 1)
    return (
        content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :] if content else b"\0"
    )


def _overwrite(rng: Random, content: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at, count = rng.randrange(len(content) + 1), rng.choice((1, 2, 4, 8))
    value = rng.choice(
        (b"\0" * count, b"\xff" * count, b"\x7f" * count, b"\x80" + bytes(7), rng.randbytes(count))
    )
    return content[:at] + value + content[at + len(value) :]


def _truncate(rng: Random, content: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _cut_out(rng: Random, content: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 8, 64, 512, 513)) :]


def _repeat(rng: Random, content: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    at, count = rng.randrange(len(content) + 1), rng.choice((1, 16, 80, 512, 1024))
    return content[:at] + content[at : at + count] * rng.choice((2, 2, 3, 200)) + content[at + count :]


def _splice(rng: Random, content: bytes, other: bytes, _words: Sequence[bytes]) -> bytes:
    at, of = rng.randrange(len(content) + 1), rng.randrange(len(other) + 1)
    return content[:at] + other[of:]


def _insert_word(rng: Random, content: bytes, _other: bytes, words: Sequence[bytes]) -> bytes:
    texts = (text.encode(errors="surrogatepass") for text in (*_TEXTS, *_NUMBERS))
    at, word = rng.randrange(len(content) + 1), rng.choice((*texts, *words, *words))
    return content[:at] + word + content[at:]


def _swap_word(rng: Random, content: bytes, _other: bytes, words: Sequence[bytes]) -> bytes:
    found = list(_WORD.finditer(content[:65536]))
    if not found:
        return content
    word = rng.choice(
        (*words, *(t.encode(errors="surrogatepass") for t in _TEXTS), *(m[0] for m in found[:64]))
    )
    at = rng.choice(found)
    return content[: at.start()] + word + content[at.end() :]


def _swap_number(rng: Random, content: bytes, _other: bytes, _words: Sequence[bytes]) -> bytes:
    found = list(_NUMBER.finditer(content[:65536]))
    if not found:
        return content
    at = rng.choice(found)
    return content[: at.start()] + rng.choice(_NUMBERS).encode() + content[at.end() :]


def _long(rng: Random, content: bytes, _other: bytes, words: Sequence[bytes]) -> bytes:
    at, what = rng.randrange(len(content) + 1), rng.choice((b"a", b" ", b"\n", b"[", b'{"a":', b"- ", *words))
    return content[:at] + what * (rng.choice((1000, 65536)) // len(what)) + content[at:]


_CHANGES: tuple[Callable[[Random, bytes, bytes, Sequence[bytes]], bytes], ...] = (
    *(_flip, _flip, _overwrite, _truncate, _cut_out, _repeat, _splice),
    *(_insert_word, _swap_word, _swap_number, _long),
)


def _spoil_json(rng: Random, content: bytes) -> bytes:
    """Change one place of a document's tree, or write a key twice."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _flip(rng, content, b"", ())
    places = list(_places(document))
    if not places:
        return json.dumps(rng.choice(_VALUES)).encode()
    holder, key = rng.choice(places)
    change = rng.random()
    if change < 0.55:
        holder[key] = rng.choice(_VALUES)
    elif change < 0.65:
        other_holder, other_key = rng.choice(places)
        holder[key] = json.loads(json.dumps(other_holder[other_key]))
    elif change < 0.75:
        del holder[key]
    elif change < 0.85 and isinstance(holder, dict):
        holder[rng.choice(_TEXTS)] = holder.pop(key)
    elif change < 0.92 and isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice((1, 30, 600)))
    else:
        nested = rng.choice((20, 300, 5000))
        whole = json.dumps(document).encode()
        return whole.replace(json.dumps(key).encode(), b"[" * nested + b"1" + b"]" * nested, 1)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.1:
        text = text.replace(f"{json.dumps(key)}: ", f"{json.dumps(key)}: 1, {json.dumps(key)}: ", 1)
    return text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-32")), errors="surrogatepass")


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in list(items):
        yield value, key
        yield from _places(below)
