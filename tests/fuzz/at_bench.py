"""What hosts and gateways answer while they are measured."""

from __future__ import annotations

import time
from pathlib import Path

from sealift.measure.asking import Question, read_answer, refusal
from sealift.measure.bandwidth import parse_gpu, parse_probe
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only

_STREAM = (
    b'{"message":{"content":"Hi"},"done":false}\n'
    b'{"message":{},"done":true,"load_duration":1,"prompt_eval_count":2,"eval_count":3,"eval_duration":4}\n'
)


def _answer(case: Case, _: Path) -> object:
    body = only(case)
    chunks = (body[at : at + 64] for at in range(0, len(body), 64))
    question = Question("FUZZ", numbers=False, text="", predict=1)
    return read_answer("FUZZ", question, chunks, time.monotonic()), refusal(body)


def _bandwidth(case: Case, _: Path) -> object:
    return parse_probe("FUZZ", only(case).decode(errors="replace"))


def _gpu(case: Case, _: Path) -> object:
    return parse_gpu("FUZZ", only(case).decode(errors="replace"))


TARGETS = (
    Target(
        "answer that is measured",
        alone(_STREAM),
        _answer,
        (b'"done":true', b'"eval_count":', b'"message":{', b"\n"),
    ),
    Target("speed of a host's memory", alone(b"cpus=2\nread=25000000000\n"), _bandwidth, (b"read=",)),
    Target("GPU of a host", alone(b"0, NVIDIA H200, 143771 MiB\n"), _gpu, (b", ", b" MiB")),
)
