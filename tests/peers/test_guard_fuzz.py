"""Spoiled bodies before the gateway's guard, a slice of bench/guard.py: Go reads what passes."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from demo.go import find_go
from sealift.cache import cache_folder
from tests.fuzz import guard
from tests.fuzz.bodies import Body, plain_bodies, spoiled_bodies
from tests.fuzz.guard import MODES, REFUSE

_CASES = 2000
_SEED = 1


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What reads as Ollama does."""
    go = find_go(cache_folder(os.environ) / "ingredients", print)
    return guard.build_decoder(go.command, tmp_path_factory.mktemp("decoder"))


@pytest.mark.parametrize("mode", MODES)
def test_no_spoiled_body_passes_that_ollama_reads_otherwise(decoder: Path, tmp_path: Path, mode: str) -> None:
    rules, context = MODES[mode]
    bodies = spoiled_bodies(_SEED, range(_CASES))
    passed, found = guard.bypasses(guard.source(rules), bodies, decoder, tmp_path, context)
    assert passed > _CASES / 20
    assert found == []


def test_good_bodies_pass(decoder: Path, tmp_path: Path) -> None:
    bodies = plain_bodies(_SEED, range(_CASES))
    assert guard.bypasses(guard.source(REFUSE), bodies, decoder, tmp_path) == (_CASES, [])


def test_no_letter_of_unicode_stands_for_one_of_a_guarded_key(decoder: Path, tmp_path: Path) -> None:
    found = [
        Body("/api/chat", f'{{"model":"chat","{key.replace(letter, relative, 1)}":{value}}}'.encode())
        for letter, relatives in _relatives().items()
        for relative in relatives
        for key, value in (("model", '"secret"'), ("options", '{"num_ctx":9999}'), ("keep_alive", "0"))
        if letter in key
    ]
    verdicts = guard.judge(guard.source(REFUSE), found, tmp_path)
    refused = {body.content.decode() for body, of in zip(found, verdicts, strict=True) if of.status != 200}
    assert any("\u017f" in body for body in refused)
    assert any("\u212a" in body for body in refused)
    assert guard.bypasses(guard.source(REFUSE), found, decoder, tmp_path)[1] == []


@pytest.mark.parametrize(
    ("check", "without"),
    [
        ("names[key] and key or folded(key)", "key"),
        (':gsub("\\226\\132\\170", "k")', ""),
        (':gsub("\\197\\191", "s")', ""),
        ("  if escaped then", "  if false then"),
        ('(depth == 2 and r.top == "options" and LOAD)', "false"),
        ('local loads = name == "keep_alive" or', "local loads ="),
        ('if name ~= "num_ctx" or tonumber(asked) ~= context then', "if false then"),
        ('not GUARD.names[role] or not (may == "all" or may[role])', "not GUARD.names[role]"),
        ("limits.context or GUARD.context", "GUARD.context"),
        ("r.kept[r.depth] and r.comma or r.froms[r.depth] - 1", "r.froms[r.depth] - 1"),
        ("r.pending.to, r.pending = at, nil", "r.pending = nil"),
    ],
)
def test_the_fuzzer_finds_each_check_that_is_taken_out(
    decoder: Path, tmp_path: Path, check: str, without: str
) -> None:
    found, bodies = [], spoiled_bodies(_SEED, range(2 * _CASES))
    for rules, context in MODES.values():
        text = guard.source(rules)
        assert text.count(check) == 1
        found += guard.bypasses(text.replace(check, without), bodies, decoder, tmp_path, context)[1]
    assert found


def _relatives() -> dict[str, list[str]]:
    """By letter: the characters that some rule of Unicode takes for it."""
    found: dict[str, list[str]] = {}
    for number in range(0x80, 0x110000):
        if 0xD800 <= number < 0xE000:
            continue
        of = chr(number)
        folds = (of.lower(), of.upper().lower(), of.casefold(), unicodedata.normalize("NFKD", of).lower())
        for letter in {fold[:1] for fold in folds if "a" <= fold[:1] <= "z"}:
            found.setdefault(letter, []).append(of)
    return found
