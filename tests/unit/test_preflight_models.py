"""Which models fit a host's memory, which give way to a smaller one, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sealift.host.model_fit import Room, choose, needs
from sealift.host.settings import OllamaSettings
from sealift.release.roles import names_of, placed_models
from tests.unit.fleet_site import MIB, MODEL, lock
from tests.unit.probed import ALL, GIB, misfit, problems, with_models


def test_a_model_needs_weights_context_and_engine() -> None:
    (need,) = needs(lock(), OllamaSettings(context_length=2048), Room(8 * GIB))
    assert (need.model, need.roles, need.memory.weights) == (MODEL, ("chat",), (240 + 170) * MIB)
    assert need.memory.kv_cache == 18 * 1024 * 4096  # of the role, which asks for more than the site sets


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({"context_length": 8192}, 8192),
        ({"num_parallel": 4}, 4 * 4096),
        ({"context_length": 1_000_000}, 32768),
    ],
)
def test_the_context_is_reckoned_as_ollama_will_have_it(settings: dict[str, Any], tokens: int) -> None:
    (need,) = needs(lock(), OllamaSettings(**settings), Room(8 * GIB))
    assert need.memory.kv_cache == 18 * 1024 * tokens


def test_the_graph_grows_with_the_context() -> None:
    def graph(context: int) -> int:
        return needs(lock(), OllamaSettings(context_length=context), Room(8 * GIB))[0].memory.graph

    assert graph(4096) == 4 * 512 * (640 + 262144)  # the output layer's
    assert graph(32768) == graph(4096)
    long = lock()
    long = long.model_copy(
        update={"models": {MODEL: long.models[MODEL].model_copy(update={"context_length": 131072})}}
    )
    (need,) = needs(long, OllamaSettings(context_length=131072), Room(8 * GIB))
    assert need.memory.graph == 4 * 512 * (2 + 131072 * 5 + 4 * 640)


def test_a_model_that_does_not_fit_is_refused_by_name() -> None:
    (problem,) = problems(ollama={"memory_limit_mib": 512})
    assert problem == (
        f"h1: {MODEL} (chat) needs 1220 MiB of memory (410 weights, 72 KV cache, 514 graph, 224 rest), "
        "expected at most 512 MiB, the smaller of host and ollama.memory_limit_mib. "
        "It fits with 1220 MiB; or take a smaller model."
    )


def test_a_refusal_says_what_would_fit() -> None:
    asked = {"memory_limit_mib": 1500, "context_length": 8192, "num_parallel": 4}
    (problem,) = problems(ollama=asked)
    assert problem.endswith(
        "It fits with context 2560 in place of 8192, or with parallel 1 in place of 4, "
        "or with 2396 MiB; or take a smaller model."
    )
    # what it says is so, and is the most that is so
    assert problems(ollama={**asked, "num_parallel": 1}) == []
    assert problems(ollama={**asked, "num_parallel": 2}) != []
    assert problems(ollama={**asked, "memory_limit_mib": 2396}) == []
    assert problems(ollama={**asked, "memory_limit_mib": 2395}) != []


def test_a_host_s_memory_is_a_limit_too() -> None:
    assert misfit(lock(), OllamaSettings(), Room(2 * GIB)) is None
    too_much = misfit(lock(), OllamaSettings(), Room(GIB // 2))
    assert too_much is not None and too_much.expected.startswith("at most 512 MiB")


def test_models_that_are_loaded_together_must_fit_together() -> None:
    both = with_models({"chat": {"model": MODEL}, "sum": {"model": LARGE}}, **{LARGE: 240 * MIB})
    assert misfit(both, OllamaSettings(memory_limit_mib=1300), Room(8 * GIB)) is None
    assert misfit(both, OllamaSettings(memory_limit_mib=1300, max_loaded_models=2), Room(8 * GIB)) is not None


LARGE, MIDDLE = "large:12b", "middle:4b"
BOTH = {LARGE: 8 << 30, MIDDLE: 3 << 30}
# chat: 8 GiB of weights, 3 GiB, 240 MiB; sum: 3 GiB or nothing
ROLES = {
    "chat": {"model": LARGE, "fallback": [MIDDLE, MODEL]},
    "sum": {"model": MIDDLE},
}


@pytest.mark.parametrize(
    ("gib", "loaded", "chat", "fits"),
    [
        (16, 1, LARGE, True),
        (16, 2, LARGE, True),
        (10, 1, LARGE, True),
        (10, 2, MIDDLE, True),  # which then is one model for two roles
        (8, 1, MIDDLE, True),
        (3, 1, MIDDLE, False),  # sum has nothing smaller
    ],
)
def test_a_model_that_does_not_fit_gives_way_to_its_fallback(
    gib: int, loaded: int, chat: str, fits: bool
) -> None:
    wanted = with_models(ROLES, **BOTH)
    settings = OllamaSettings(memory_limit_mib=1 << 20, max_loaded_models=loaded)
    choice = choose(wanted, ALL, settings, Room(gib * GIB))
    assert (choice.misfit is None) is fits
    if fits:
        assert choice.answers == {"chat": chat, "sum": MIDDLE}


def test_the_last_fallback_that_does_not_fit_is_refused_by_name() -> None:
    wanted = with_models({"chat": ROLES["chat"]}, **BOTH)
    settings = OllamaSettings(memory_limit_mib=1 << 20)
    assert choose(wanted, ALL, settings, Room(2 * GIB)).answers == {"chat": MODEL}
    refused = choose(wanted, ALL, settings, Room(GIB)).misfit
    assert refused is not None
    assert refused.what.startswith(f"{MODEL} (chat, in place of {LARGE}) needs 1220 MiB of memory (")


def test_gpus_choose_by_their_own_memory() -> None:
    wanted = with_models({"chat": ROLES["chat"]}, **BOTH)
    settings = OllamaSettings(memory_limit_mib=1 << 20)
    host = Room(64 * GIB, (6 * GIB,))
    assert choose(wanted, ALL, settings, host).answers == {"chat": MIDDLE}
    assert choose(wanted, ALL, settings, replace(host, gpus=())).answers == {"chat": LARGE}
    assert choose(wanted, ALL, settings, replace(host, gpus=(6 * GIB, 6 * GIB))).answers == {"chat": LARGE}


def test_a_host_has_the_models_that_answer_and_those_that_no_role_asks_for() -> None:
    wanted = with_models({"chat": {"model": LARGE, "fallback": [MIDDLE]}}, **BOTH)
    assert list(placed_models(wanted, ALL, {"chat": LARGE})) == [LARGE, MODEL]
    assert list(placed_models(wanted, ALL, {"chat": MIDDLE})) == [MIDDLE, MODEL]
    (named,) = names_of(wanted, MIDDLE, {"chat": MIDDLE})
    assert named.tags == (MIDDLE, "chat:latest")
    (named,) = names_of(wanted, LARGE, {"chat": MIDDLE})
    assert named.tags == (LARGE,)
