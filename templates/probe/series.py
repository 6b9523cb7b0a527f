"""What the probe found, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .asking import OUTCOMES, Answer
from .configuration import Configuration
from .said import Gpu, Loaded


@dataclass
class RoleFound:
    """How a role was when it was last asked. None: not known.

    + refused: how often in a row
    """

    up: bool | None = None
    degraded: bool | None = None
    missing: bool | None = None
    answer: Answer | None = None
    outcome: str = ""
    refused: int = 0
    requests: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))


@dataclass
class Found:
    """What the last round found. None: not known.

    + gpus: none where nvidia-smi fails
    """

    roles: Mapping[str, RoleFound]
    loaded: tuple[Loaded, ...] = ()
    memory: int | None = None
    gpus: tuple[Gpu, ...] | None = None
    certificate_expires: float | None = None
    last_run: float | None = None
    run_s: float | None = None


_ROLE_FIGURES: Mapping[str, tuple[str, Callable[[Answer], float | None]]] = {
    "first_token_seconds": ("Until its answer began", lambda answer: answer.first_token_s),
    "answer_seconds": ("Until its answer ended", lambda answer: answer.answer_s),
    "tokens_per_second": ("How fast its answer came", lambda answer: answer.cost.tokens_per_second),
    "load_seconds": ("What its answer waited for the model", lambda answer: answer.cost.load_s),
}
_GPU_FIGURES: Mapping[str, tuple[str, Callable[[Gpu], float | None]]] = {
    "utilization_ratio": ("How busy it is", lambda gpu: gpu.utilization),
    "memory_used_bytes": ("Memory in use", lambda gpu: gpu.memory_used),
    "memory_total_bytes": ("Memory that it has", lambda gpu: gpu.memory_total),
    "temperature_celsius": ("Its temperature", lambda gpu: gpu.temperature),
    "power_watts": ("What it draws", lambda gpu: gpu.power),
}


class Series(Collector):
    """All of it.

    + of: the configuration
    + found: which changes
    """

    def __init__(self, of: Configuration, found: Found) -> None:
        self._of, self._found = of, found

    def collect(self) -> Iterator[Metric]:
        """What there is to tell now: what is not known is left out."""
        yield from self._of_roles()
        yield from self._of_models()
        yield from self._of_gpus()
        found, of = self._found, self._of
        info = (((of.release, of.bundle), 1),)
        yield _gauge("release_info", "The host's release", info, ("release", "bundle"))
        for name, text, value in (
            ("runtime_memory_bytes", "Resident memory of Ollama's processes", found.memory),
            ("runtime_memory_limit_bytes", "Memory that its container may take", of.memory_limit_bytes),
            (
                "certificate_expiry_timestamp_seconds",
                "When the gateway's certificate ends",
                found.certificate_expires,
            ),
            ("probe_last_run_timestamp_seconds", "When it last had something to tell", found.last_run),
            ("probe_run_seconds", "What a round took, of all roles", found.run_s),
        ):
            yield _gauge(name, text, (((), value),))

    def _of_roles(self) -> Iterator[Metric]:
        roles, wanted = self._found.roles, self._of.roles
        up = (((name, wanted[name].model), each.up) for name, each in roles.items())
        yield _gauge("role_up", "Whether it answers", up, ("role", "model"))
        degraded = (((name,), each.degraded) for name, each in roles.items())
        yield _gauge("role_degraded", "Whether it answers, but slowly", degraded, ("role",))
        missing = (((name,), each.missing) for name, each in roles.items())
        yield _gauge("role_missing", "Whether Ollama does not list it", missing, ("role",))
        for figure, (text, take) in _ROLE_FIGURES.items():
            values = (((name,), take(each.answer)) for name, each in roles.items() if each.answer)
            yield _gauge(f"role_{figure}", text, values, ("role",))
        objectives = (
            ((name, objective), value)
            for name, each in wanted.items()
            for objective, value in each.objectives.items()
        )
        yield _gauge("objective", "What the release promises", objectives, ("role", "objective"))
        requests = CounterMetricFamily(
            "sealift_probe_requests", "What the probe asked", labels=("role", "outcome")
        )
        for name, each in roles.items():
            for outcome, count in each.requests.items():
                requests.add_metric((name, outcome), count)
        yield requests

    def _of_models(self) -> Iterator[Metric]:
        loaded = self._found.loaded
        yield _gauge("model_loaded", "In memory", (((each.name,), 1) for each in loaded), ("name",))
        sizes = (((each.name,), each.size) for each in loaded)
        yield _gauge("model_size_bytes", "Memory that it takes", sizes, ("name",))
        vrams = (((each.name,), each.vram) for each in loaded)
        yield _gauge("model_vram_bytes", "Of which on the GPU", vrams, ("name",))

    def _of_gpus(self) -> Iterator[Metric]:
        gpus = self._found.gpus
        yield _gauge("gpu_wanted", "Whether the host is to have a GPU", (((), self._of.gpu),))
        if gpus is None:
            return
        yield _gauge("gpu_up", "Whether nvidia-smi lists one", (((), bool(gpus)),))
        for figure, (text, take) in _GPU_FIGURES.items():
            values = (((str(gpu.index), gpu.name), take(gpu)) for gpu in gpus)
            yield _gauge(f"gpu_{figure}", text, values, ("gpu", "name"))


def _gauge(
    name: str,
    text: str,
    values: Iterable[tuple[tuple[str, ...], float | None]],
    labels: tuple[str, ...] = (),
) -> GaugeMetricFamily:
    """A gauge with those values that are known."""
    family = GaugeMetricFamily(f"sealift_{name}", text, labels=labels)
    for of, value in values:
        if value is not None:
            family.add_metric(of, float(value))
    return family
