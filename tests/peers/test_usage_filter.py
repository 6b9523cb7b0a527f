"""What the gateway reads out of the ends of answers, in LuaJIT as Envoy runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
DURATIONS = (
    '"total_duration":5000000000,"load_duration":1500000000,"prompt_eval_count":26,'
    '"prompt_eval_duration":130079000,"eval_count":259,"eval_duration":4232710000}'
)
NATIVE = {"tokens_in": 26, "tokens_out": 259, "load_ms": 1500, "out_ms": 4232}
# As Ollama 0.11.4 and later write them.
ANSWERS: dict[str, tuple[str, dict[str, int]]] = {
    "chat": ('{"message":{"content":"Hi"},"done":true,' + DURATIONS, NATIVE),
    "the last chunk of a stream": ('{"done":false}\n{"message":{},"done":true,' + DURATIONS + "\n", NATIVE),
    "a prompt that was cached": (
        '{"done":true,"total_duration":2000000,"load_duration":1000000,"eval_count":3,"eval_duration":2000000}',
        {"tokens_in": 0, "tokens_out": 3, "load_ms": 1, "out_ms": 2},
    ),
    "embeddings": (
        '{"embeddings":[[0.1]],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":8}',
        {"tokens_in": 8, "tokens_out": 0, "load_ms": 1, "out_ms": 0},
    ),
    "numbers that the model wrote itself": (
        '{"message":{"content":"\\"eval_count\\":999,","tool_calls":[{"function":{"arguments":'
        '{"eval_count":999,"usage":{"prompt_tokens":999}}}}]},"done":true,' + DURATIONS,
        NATIVE,
    ),
    "numbers twice": (
        '{"done":true,' + DURATIONS[:-1] + ',"tool_calls":[{"function":{"arguments":{"total_duration":1}}}]}',
        {},
    ),
    "more behind them": (
        '{"done":true,' + DURATIONS[:-1] + ',"logprobs":[{"token":"Hi","logprob":-1}]}',
        NATIVE,
    ),
    "OpenAI": (
        '{"choices":[],"usage":{"prompt_tokens":26,"completion_tokens":259,"total_tokens":285}}\n',
        {"tokens_in": 26, "tokens_out": 259},
    ),
    "an OpenAI stream that was asked for it": (
        'data: {"usage":{"prompt_tokens":2,"completion_tokens":5,"total_tokens":7}}\n\ndata: [DONE]\n\n',
        {"tokens_in": 2, "tokens_out": 5},
    ),
    "an OpenAI stream that was not": ('data: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', {}),
    "OpenAI embeddings": (
        '{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}',
        {"tokens_in": 8, "tokens_out": 0},
    ),
    "messages of Anthropic's API": (
        'event: message_delta\ndata: {"usage":{"input_tokens":9,"output_tokens":4}}\n\n',
        {"tokens_in": 9, "tokens_out": 4},
    ),
    "a model that was only loaded": (
        '{"model":"chat","response":"","done":true,"done_reason":"load"}',
        {"tokens_in": 0, "tokens_out": 0},
    ),
    "the same by /api/chat": (
        '{"model":"chat","message":{"role":"assistant","content":""},"done_reason":"load","done":true}',
        {"tokens_in": 0, "tokens_out": 0},
    ),
    "a stream that was cut": ('{"message":{"content":"Hi"},"done":false}\n', {}),
    "nothing": ("", {}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_end_of_an_answer_says_what_it_cost(name: str) -> None:
    tail, expected = ANSWERS[name]
    command = ["luajit", str(CHECKOUT / "tests/lua/usage.lua"), str(CHECKOUT / "templates/gateway/usage.lua")]
    said = subprocess.run(command, input=tail, check=True, capture_output=True, text=True).stdout
    assert {
        key: int(value) for key, _, value in (line.partition("=") for line in said.splitlines())
    } == expected
