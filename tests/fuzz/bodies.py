"""Bodies for Ollama's routes that try to be read one way by a gateway and another way by Ollama."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

from tests.fuzz.mutate import spoil_bytes

CONTEXT = 4096  # tokens that the roles of the cases are loaded with
LOAD = (
    "num_batch",
    "num_gpu",
    "main_gpu",
    "use_mmap",
    "num_thread",
    "numa",
    "low_vram",
    "f16_kv",
    "use_mlock",
)
_CHAT = '[{"role":"user","content":"Wie geht es dir? \\u4f60\\u597d \u4f60\u597d"}]'
_MEMBERS = {
    "/api/generate": [('"prompt"', '"Hi"'), ('"context"', "[1,2,3]"), ('"images"', '["iVBORw0KGgo="]')],
    "/api/chat": [('"messages"', _CHAT), ('"tools"', '[{"function":{"name":"f"}}]'), ('"think"', "false")],
    "/api/embed": [('"input"', '["one","two"]'), ('"truncate"', "true")],
    "/api/embeddings": [('"prompt"', '"one"')],
    "/api/show": [('"verbose"', "true")],
    "/v1/chat/completions": [('"messages"', _CHAT), ('"max_tokens"', "5"), ('"stop"', '["x"]')],
    "/v1/completions": [('"prompt"', '"Hi"'), ('"suffix"', '"x"'), ('"stream"', "false")],
    "/v1/embeddings": [('"input"', '"one"'), ('"encoding_format"', '"float"')],
    "/v1/responses": [('"input"', _CHAT), ('"instructions"', '"Be short."'), ('"max_output_tokens"', "5")],
    "/v1/images/generations": [('"prompt"', '"A cat"'), ('"size"', '"64x64"')],
    "/v1/images/edits": [('"prompt"', '"A cat"'), ('"image"', '"iVBORw0KGgo="')],
    "/v1/messages": [('"messages"', _CHAT), ('"system"', '"Be short."'), ('"max_tokens"', "5")],
}
PATHS = tuple(_MEMBERS)
_MODELS = (
    *(
        '"chat"',
        '"chat"',
        '"chat:latest"',
        '"secret"',
        '"secret:latest"',
        '"CHAT"',
        '"cha\\u0074"',
        '"chat "',
    ),
    *('"library/chat"', '""', '"chat\\u0000"', '"chat\u017f"', "null", "5", '["chat"]', '{"model":"chat"}'),
)
_NUMBERS = (
    *(
        "4096",
        "4096",
        "4097",
        "131072",
        "2048",
        "0",
        "-1",
        "4096.0",
        "4.096e3",
        "40960e-1",
        "1e3",
        "1E9",
        "04096",
    ),
    *("+4096", "0x1000", "9" * 30, "1e999", '"4096"', "null", "true", "[]", "{}", "4096.9", "-0", "4_096"),
)
_DURATIONS = ("0", "-1", '"0s"', '"1h"', '"-1s"', "1e9", "null", "{}", "[0]", "false", '""', "3.5")
_SPACES = ("", " ", "\t", "\n", "\r\n", "\x0b", "\x0c", "\x00", "\u00a0", "\ufeff", "/**/", "//\n")
_RELATIVES = {"k": "\u212a", "s": "\u017f", "i": "\u0131", "a": "\u00e4"}
_FOLDED = "ks"  # those of them that Go folds


@dataclass(frozen=True)
class Body:
    """A body, and the path that it is sent to."""

    path: str
    content: bytes


Members = list[tuple[str, str]]


def plain_bodies(seed: int, numbers: Iterable[int]) -> list[Body]:
    """Bodies that ask for nothing which they may not, by their numbers."""
    return [_plain(Random(f"{seed} {number}")) for number in numbers]  # noqa: S311 - no secret


def spoiled_bodies(seed: int, numbers: Iterable[int]) -> list[Body]:
    """Bodies that may ask for more, by their numbers; each eighth is spoiled byte by byte too."""
    return [_spoiled(Random(f"{seed} {number}"), number % 8 == 0) for number in numbers]  # noqa: S311 - no secret


def _plain(random: Random) -> Body:
    path = random.choice(PATHS)
    members: Members = [('"model"', random.choice(('"chat"', '"chat:latest"'))), *_MEMBERS[path]]
    if random.random() < 0.5:
        members.append(('"options"', f'{{"temperature": 0.7, "seed": 1, "num_ctx": {CONTEXT}}}'))
    random.shuffle(members)
    return Body(path, _written(members).encode())


def _spoiled(random: Random, by_bytes: bool) -> Body:
    path = random.choice(PATHS)
    members: Members = [('"model"', _model(random)), *_MEMBERS[path]]
    if path == "/api/show" and random.random() < 0.6:
        members.append(('"name"', _model(random)))
        members = members[random.randrange(2) :]
    if random.random() < 0.7:
        members.append(('"options"', _options(random)))
    if random.random() < 0.5:
        members.append(('"keep_alive"', random.choice(_DURATIONS)))
    random.shuffle(members)
    for _ in range(random.choice((0, 1, 1, 1, 2))):
        random.choice(_CHANGES)(random, members)
    content = _framed(random, _written(members)).encode(errors="surrogatepass")
    if by_bytes:
        other = _plain(random).content
        content = spoil_bytes(random, content, other, (b'"model"', b'"Model":"secret"', b'"num_ctx":9999'))
    return Body(path, content)


def _written(members: Members) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in members) + "}"


def _model(random: Random) -> str:
    return random.choice(_MODELS[:3]) if random.random() < 0.6 else random.choice(_MODELS)


def _options(random: Random) -> str:
    if random.random() < 0.1:
        return random.choice(
            ("null", "[]", "{}", '"x"', '[{"num_ctx":9999}]', '{"options":{"num_ctx":9999}}')
        )
    members: Members = [('"temperature"', "0.1")]
    if random.random() < 0.7:
        members.append(('"num_ctx"', random.choice(_NUMBERS)))
    if random.random() < 0.3:
        members.append((f'"{random.choice(LOAD)}"', random.choice(("1", "0", "true", "null", '"x"', "[]"))))
    random.shuffle(members)
    for _ in range(random.choice((0, 0, 1, 2))):
        random.choice(_CHANGES[:5])(random, members)
    return _written(members)


def _other_case(random: Random, members: Members) -> None:
    _rewrite(random, members, str.upper)


def _relative(random: Random, members: Members) -> None:
    _rewrite(random, members, lambda letter: _RELATIVES.get(letter, letter.upper()), _FOLDED)


def _escaped(random: Random, members: Members) -> None:
    form = random.choice(("\\u%04x", "\\u%04X", "\\U%04x", "\\x%02x"))
    _rewrite(
        random, members, lambda letter: form % ord(random.choice((letter, _RELATIVES.get(letter, letter))))
    )


def _rewrite(random: Random, members: Members, change: Callable[[str], str], first: str = "") -> None:
    """Change some letters of a key, of the member itself or of a second one with another value.

    + first: letters that are changed rather than others, in keys that have them
    """
    having = [at for at, (key, _) in enumerate(members) if set(key) & set(first)]
    at = random.choice(having or range(len(members)))
    key, value = members[at]
    letters = list(key)
    inside = range(1, len(key) - 1)
    places = [place for place in inside if key[place] in first] or list(inside)
    for place in random.sample(places, min(len(places), random.choice((1, 1, 2, 20)))):
        letters[place] = change(letters[place])
    if random.random() < 0.5:
        members[at] = ("".join(letters), value)
    else:
        members.insert(random.randrange(len(members) + 1), ("".join(letters), _other(random, key, value)))


def _twice(random: Random, members: Members) -> None:
    key, value = random.choice(members)
    members.insert(random.randrange(len(members) + 1), (key, _other(random, key, value)))


def _spaced(random: Random, members: Members) -> None:
    at = random.randrange(len(members))
    key, value = members[at]
    before, within, behind = (random.choice(_SPACES[: random.choice((5, 12))]) for _ in range(3))
    members[at] = (f"{before}{key}{within}", f"{behind}{value}")


def _nested(random: Random, members: Members) -> None:
    at = random.randrange(len(members))
    key, value = members[at]
    depth = random.choice((1, 2, 61, 62, 63, 64, 65, 200))
    opening, closing = random.choice((("[", "]"), ('{"model":', "}"), ('{"options":', "}")))
    members[at] = (key, opening * depth + value + closing * depth)


def _unknown(random: Random, members: Members) -> None:
    key = random.choice(
        ('"Name"', '"name"', '"MODELS"', '"num_ctx"', '""', '"format"', '"x"', '"modèl"', '"metadata"')
    )
    members.append(
        (key, random.choice((*_MODELS, *_NUMBERS, '{"model":"secret"}', '{"a":{"num_ctx":9999}}')))
    )


def _other(random: Random, key: str, value: str) -> str:
    if key in ('"model"', '"name"'):
        return random.choice(_MODELS)
    if key == '"num_ctx"':
        return random.choice(_NUMBERS)
    if key == '"keep_alive"':
        return random.choice(_DURATIONS)
    return '{"num_ctx":9999}' if key == '"options"' else value


_CHANGES: tuple[Callable[[Random, Members], None], ...] = (
    *(_other_case, _relative, _escaped, _twice, _spaced, _nested, _unknown),
)


def _framed(random: Random, text: str) -> str:
    """The document, sometimes with something before it or behind it."""
    if random.random() < 0.95:
        return text
    more = json.dumps({"model": "secret", "options": {"num_ctx": 9999}})
    before = random.choice(("", "", "\ufeff", " ", "[", "null", "\x1e"))
    return before + text + random.choice(("", more, f"\n{more}", ",", "]", "\x00", " \r\n\t", "}", "\u00a0"))
