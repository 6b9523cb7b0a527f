"""What the probe of roles is told on its host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sealift.errors import SealiftError
from templates.probe import said
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import test_probe_said as good


def _read(read: Callable[[bytes], object]) -> Callable[[Case, Path], object]:
    """Of a parser that knows no SealiftError."""

    def tell(case: Case, _: Path) -> object:
        try:
            return read(only(case))
        except said.NonsenseError:
            raise SealiftError("FUZZ: is no answer, expected one. Look.") from None

    return tell


def _answer(content: bytes) -> object:
    found = said.read_object(content)
    return [
        _understood(read, found)
        for read in (said.chat_cost, said.embed_cost, said.names_listed, said.models_loaded)
    ]


def _understood(read: Callable[[dict[str, object]], object], found: dict[str, object]) -> object:
    try:
        return read(found)
    except said.NonsenseError:
        return None


def _kernel(content: bytes) -> object:
    text = content.decode(errors="replace")
    return said.container_memory(text), said.mounted(text, "nvidia-smi")


TARGETS = (
    Target(
        "answer to a probe",
        alone(good.LAST, good.EMBEDDED, good.TAGS, good.PS),
        _read(_answer),
        (b'"done":true', b'"eval_count":', b'"embeddings":[[', b'"models":['),
    ),
    Target(
        "figures of GPUs",
        alone(good.H200.encode()),
        _read(lambda content: said.gpus_listed(content.decode(errors="replace"))),
        (b"[N/A]", b", "),
    ),
    Target(
        "processes and mounts of a host",
        alone(good.STATUS.encode(), good.MOUNTS.encode()),
        _read(_kernel),
        (b"NSpid:\t", b"VmRSS:\t", b"nvidia-smi"),
    ),
)
