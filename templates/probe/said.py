"""What Ollama, nvidia-smi and the kernel say, read strictly. Nothing here asks anybody."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_NANOSECONDS = 10**9  # of a second: Ollama's durations
_FEW = 4  # tokens: of fewer, nobody can say how fast they came
_MOST_LISTED = 1000
_MIB = 1 << 20
# What Ollama's processes are called: the server and its runners, and the runners of older and newer ones.
RUNTIME = frozenset({"ollama", "ollama_llama_server", "llama-server"})
_NAME = re.compile(r"[A-Za-z0-9._:/-]{1,256}")
GPU_FIGURES = ("utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw")
# Of --query-gpu=index,name,... --format=csv,noheader,nounits. What a GPU does not tell is in brackets.
# Source: nvidia-smi(1).
_FIGURE = r", (?:([0-9]{1,9}(?:\.[0-9]{1,4})?)|\[[A-Za-z/ ]{1,40}\])"
_GPU = re.compile(r"([0-9]{1,4}), ([^\x00-\x1f\x7f]{1,200}?)" + _FIGURE * len(GPU_FIGURES))


class NonsenseError(Exception):
    """Foreign text is not what was expected."""


@dataclass(frozen=True)
class Cost:
    """What the end of an answer says of it.

    + load_s: seconds that its model took to be there
    + tokens_per_second: None where it is too short to tell, or has none
    """

    load_s: float
    tokens_per_second: float | None = None


@dataclass(frozen=True)
class Loaded:
    """A model in memory: bytes in all, and on the GPU."""

    name: str
    size: int
    vram: int


@dataclass(frozen=True)
class Gpu:
    """A GPU. None stands for what it does not tell.

    + utilization: 0 to 1
    + memory_used, memory_total: bytes
    + temperature: degrees Celsius
    + power: watts
    """

    index: int
    name: str
    utilization: float | None
    memory_used: float | None
    memory_total: float | None
    temperature: float | None
    power: float | None


def read_object(text: bytes) -> dict[str, object]:
    """A JSON object.

    Raises NonsenseError where it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NonsenseError from None
    if not isinstance(found, dict):
        raise NonsenseError
    return found


def chat_cost(last: Mapping[str, object]) -> Cost:
    """What the last line of a native stream says.

    Raises NonsenseError where the answer does not end there.
    """
    if last.get("done") is not True or "error" in last:
        raise NonsenseError
    tokens, nanoseconds = _whole(last, "eval_count"), _whole(last, "eval_duration")
    tells = tokens >= _FEW and nanoseconds > 0
    return Cost(
        _whole(last, "load_duration") / _NANOSECONDS,
        tokens * _NANOSECONDS / nanoseconds if tells else None,
    )


def embed_cost(answer: Mapping[str, object]) -> Cost:
    """What an answer of /api/embed to one text says.

    Raises NonsenseError where it has no embedding.
    """
    match answer.get("embeddings"):
        case [[_, *_] as numbers] if all(map(_is_number, numbers)):
            return Cost(_whole(answer, "load_duration") / _NANOSECONDS)
    raise NonsenseError


def names_listed(tags: Mapping[str, object]) -> frozenset[str]:
    """The names that /api/tags lists, without `:latest`.

    Raises NonsenseError where it is no such list.
    """
    return frozenset(_name(model).removesuffix(":latest") for model in _models(tags))


def models_loaded(ps: Mapping[str, object]) -> tuple[Loaded, ...]:
    """What /api/ps lists, by name without `:latest`.

    Raises NonsenseError where it is no such list.
    """
    found = {
        name: Loaded(name, _whole(model, "size"), _whole(model, "size_vram"))
        for model in _models(ps)
        for name in (_name(model).removesuffix(":latest"),)
    }
    return tuple(found.values())


def gpus_listed(text: str) -> tuple[Gpu, ...]:
    """What nvidia-smi prints when it is asked for index, name and GPU_FIGURES.

    Raises NonsenseError where it lists no GPU, or says anything else.
    """
    found: dict[int, Gpu] = {}
    for line in text.splitlines():
        match = _GPU.fullmatch(line)
        if match is None or len(found) == _MOST_LISTED:
            raise NonsenseError
        index, name, *figures = match.groups()
        percent, used, total, temperature, power = (float(each) if each else None for each in figures)
        found[int(index)] = Gpu(
            int(index),
            name,
            percent / 100 if percent is not None else None,
            used * _MIB if used is not None else None,
            total * _MIB if total is not None else None,
            temperature,
            power,
        )
    if not found:
        raise NonsenseError
    return tuple(found.values())


def container_memory(status: str) -> int:
    """Bytes that a process in a container has resident; 0 of one that is in none, or has ended.

    Anybody may read it, unlike where the program lies. A process in a container has a number there, too, so a
    site's own Ollama outside of any is not counted.

    + status: its /proc/PID/status
    """
    numbers = re.search(r"^NSpid:((?:\t[0-9]+){2,})$", status, re.MULTILINE)
    resident = re.search(r"^VmRSS:\s+([0-9]{1,15}) kB$", status, re.MULTILINE)
    return int(resident[1]) << 10 if numbers and resident else 0


def mounted(mountinfo: str, program: str) -> str | None:
    """Where a program is mounted by itself, as CDI does it: on hosts that keep it elsewhere than in PATH.

    + mountinfo: /proc/self/mountinfo
    """
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if len(fields) > 4 and fields[4].endswith(f"/{program}"):
            return fields[4]
    return None


def _models(answer: Mapping[str, object]) -> list[dict[str, object]]:
    models = answer.get("models")
    if not isinstance(models, list) or len(models) > _MOST_LISTED:
        raise NonsenseError
    if not all(isinstance(model, dict) for model in models):
        raise NonsenseError
    return models


def _name(model: Mapping[str, object]) -> str:
    name = model.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise NonsenseError
    return name


def _whole(of: Mapping[str, object], key: str) -> int:
    """A whole number; 0 where there is none, as Ollama leaves it out then."""
    value = of.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise NonsenseError
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
