"""A day of a fleet, made up: what Prometheus would have kept of it, to look at pictures of many hosts.

Loads follow the working day. In the large fleet one host is slow, one is gone, and a release is rolled out.
"""

from __future__ import annotations

import math
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

END = 1795869000  # 28 November 2026, 12:30 UTC
HOUR = 3600
_MS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000)
CLIENTS = ("chatbot", "search", "minutes")
_ASKS = {"chatbot": ("chat", 0.05), "search": ("embed", 0.35), "minutes": ("chat", 0.015)}
_TAKES = {
    "chat": (2600.0, 700.0),
    "embed": (70.0, 60.0),
}  # ms: the whole answer and its first byte, half of them
_OLD, _NEW = "assistant:2026.10.0", "assistant:2026.11.0"

Value = Callable[[float], float | None]
Samples = dict[str, dict[str, Value]]
"""By name and labels."""


@dataclass(frozen=True)
class Fleet:
    """Which hosts there are, and what is wrong.

    + slow, gone: names of hosts, if any
    """

    hosts: tuple[str, ...]
    slow: str = ""
    gone: str = ""
    gpus: tuple[str, ...] = ()
    hours: float = 24
    step_s: int = 240

    @property
    def start(self) -> float:
        """Of what was recorded."""
        return END - self.hours * HOUR


SMALL = Fleet(("h1", "h2", "h3"), hours=2, step_s=60)
LARGE = Fleet(
    tuple(f"llm{number:02}" for number in range(1, 25)),
    slow="llm07",
    gone="llm19",
    gpus=tuple(f"llm{number:02}" for number in range(21, 25)),
)


def blocks(promtool: Path, fleet: Fleet, folder: Path) -> Path:
    """The fleet's day as blocks of Prometheus. Gives their folder."""
    text = folder / "recorded.om"
    with text.open("w") as file:
        file.writelines(_lines(fleet))
        file.write("# EOF\n")
    made = folder / "blocks"
    subprocess.run((promtool, "tsdb", "create-blocks-from", "openmetrics", text, made), check=True, stdout=-3)
    text.unlink()
    return made


def _lines(fleet: Fleet) -> Iterator[str]:
    times = [
        fleet.start + number * fleet.step_s for number in range(int(fleet.hours * HOUR / fleet.step_s) + 1)
    ]
    for name, series in _samples(fleet, times).items():
        for labels, value in series.items():
            told = ((time, value(time)) for time in times)
            yield from (
                f"{name}{{{labels}}} {each:.6g} {time:.0f}\n" for time, each in told if each is not None
            )


def _samples(fleet: Fleet, times: list[float]) -> Samples:
    found: Samples = {}

    def put(name: str, value: Value, /, **labels: str) -> None:
        text = ",".join(f'{key}="{each}"' for key, each in labels.items())
        found.setdefault(name, {})[text] = value

    for number, host in enumerate(fleet.hosts):
        _host(put, fleet, times, host, number)
    for host in fleet.hosts:
        put("sealift_fleet_drained", lambda _: 0, of=host, host=fleet.hosts[0])
        put(
            "sealift_fleet_differences",
            _constant(2 if host == fleet.slow else 0),
            of=host,
            host=fleet.hosts[0],
        )
    alerts = {fleet.slow: ("RoleDegraded", "warning", 5), fleet.gone: ("HostDown", "critical", 2)}
    for host, (alert, severity, hours) in alerts.items():
        if host:
            since = END - hours * HOUR
            role = {"role": "chat"} if alert == "RoleDegraded" else {}
            labels = {"alertname": alert, "severity": severity, "host": host, **role}
            put("ALERTS", _from(since, lambda _: 1), alertstate="firing", **labels)
            put("ALERTS_FOR_STATE", _from(since, _constant(since)), **labels)
    return found


def _host(put: Callable[..., None], fleet: Fleet, times: list[float], host: str, number: int) -> None:
    chance = random.Random(number)  # noqa: S311 - no secret
    ends = END - 2 * HOUR if host == fleet.gone else math.inf
    slow = 4.5 if host == fleet.slow else 1.0
    noise = {time: chance.uniform(0.75, 1.25) for time in times}

    def load(time: float) -> float:
        hour = (time % 86400) / HOUR
        return (0.15 + 0.85 * math.exp(-(((hour - 13) / 4) ** 2))) * noise[time]

    def counted(rate: Value) -> Value:
        return _counted(times, rate, ends)

    def seen(value: Value) -> Value:
        return lambda time: value(time) if time < ends else None

    for job in ("node", "gateway"):
        put("up", lambda time: int(time < ends), job=job, host=host)
    gateway = {"job": "gateway", "host": host}
    http = {**gateway, "envoy_http_conn_manager_prefix": "clients"}
    asked = sum(each for _, each in _ASKS.values())
    bad = 0.06 if host == fleet.slow else 0.002
    for code, share in (("2", 1 - bad - 0.02), ("4", 0.02), ("5", bad)):
        rate = counted(lambda time, share=share: asked * share * load(time))  # type: ignore[misc]
        put("envoy_http_downstream_rq_xx", rate, envoy_response_code_class=code, **http)
    put("envoy_http_downstream_rq_active", seen(lambda time: round(2.2 * load(time) * slow)), **http)
    for client, (role, rate_s) in _ASKS.items():
        _usage(put, counted, load, {**gateway, "client": client, "role": role}, rate_s, slow)
    for role, (answer, first) in _TAKES.items():
        probed = {"host": host, "role": role}
        late = slow if role == "chat" else 1
        put("sealift_role_up", seen(lambda _: 1), model=f"{role}-model", **probed)
        put("sealift_role_degraded", seen(_constant(int(late > 1))), **probed)
        put("sealift_role_answer_seconds", seen(lambda t, s=answer * late / 2e3: s * noise[t]), **probed)  # type: ignore[misc]
        put("sealift_role_first_token_seconds", seen(lambda t, s=first * late / 2e3: s * noise[t]), **probed)  # type: ignore[misc]
        put("sealift_role_load_seconds", seen(lambda _: 0), **probed)
        goals = {"answer": 3.0, "first_token": 2.0} if role == "chat" else {"answer": 0.1}
        for objective, goal in goals.items():
            kept = 0.952 if late > 1 else 0.9995
            put("sealift_objective", seen(_constant(goal)), objective=objective, **probed)
            put("sealift:objective_kept:avg30d", seen(_constant(kept)), objective=objective, **probed)
            left = _constant(1 - (1 - kept) / 0.01)
            put("sealift:objective_budget_left", seen(left), objective=objective, **probed)
    put("sealift_role_tokens_per_second", seen(lambda t: 17 / slow * noise[t]), host=host, role="chat")
    _machine(put, counted, load, seen, host)
    rolled = END - 6 * HOUR + number * 600
    put(
        "sealift_release_info",
        seen(lambda t: 1 if t < rolled or len(fleet.hosts) < 4 else None),
        host=host,
        release=_OLD,
    )
    put(
        "sealift_release_info",
        seen(lambda t: 1 if t >= rolled and len(fleet.hosts) > 3 else None),
        host=host,
        release=_NEW,
    )
    if host in fleet.gpus:
        _gpu(put, load, host)


def _usage(
    put: Callable[..., None],
    counted: Callable[[Value], Value],
    load: Callable[[float], float],
    labels: dict[str, str],
    rate_s: float,
    slow: float,
) -> None:
    answer, first = _TAKES[labels["role"]]
    chat = labels["role"] == "chat"
    put("envoy_usage_tokens_in", counted(lambda t: rate_s * load(t) * (310 if chat else 120)), **labels)
    put("envoy_usage_tokens_out", counted(lambda t: rate_s * load(t) * (190 if chat else 0)), **labels)
    for name, half in (("answer", answer), ("first_byte", first)):
        put(f"envoy_usage_{name}_count", counted(lambda t: rate_s * load(t)), **labels)
        for bound in (*map(float, _MS), math.inf):
            rate = counted(
                lambda t, bound=bound, half=half: (  # type: ignore[misc]
                    rate_s * load(t) * _below(bound, half * (slow if chat else 1) * (0.8 + 0.5 * load(t)))
                )
            )
            put(
                f"envoy_usage_{name}_bucket", rate, le="+Inf" if bound == math.inf else f"{bound:g}", **labels
            )


def _below(bound: float, half: float) -> float:
    """Which share of times that are spread log-normally lies below a bound."""
    return 1.0 if bound == math.inf else 0.5 * (1 + math.erf(math.log(bound / half) / 0.6 / math.sqrt(2)))


def _machine(
    put: Callable[..., None],
    counted: Callable[[Value], Value],
    load: Callable[[float], float],
    seen: Callable[[Value], Value],
    host: str,
) -> None:
    node = {"job": "node", "host": host}
    put(
        "node_cpu_seconds_total",
        counted(lambda t: max(0.02, 1 - 0.7 * load(t))),
        mode="idle",
        cpu="0",
        **node,
    )
    put("node_memory_MemTotal_bytes", seen(_constant(32 * 2**30)), **node)
    put("node_memory_MemAvailable_bytes", seen(lambda t: (22 - 3 * load(t)) * 2**30), **node)
    put("sealift_runtime_memory_bytes", seen(lambda t: (5.1 + 2 * load(t)) * 2**30), **node)
    disk = {**node, "mountpoint": "/var/lib/sealift", "fstype": "ext4"}
    put("node_filesystem_size_bytes", seen(_constant(500e9)), **disk)
    put("node_filesystem_avail_bytes", seen(lambda t: 210e9 - (t - END + 86400) * 2e5), **disk)
    put("node_time_seconds", seen(lambda t: t + 0.004), **node)
    put("sealift_certificate_expiry_timestamp_seconds", seen(_constant(END + 71 * 86400)), **node)
    put("sealift_probe_last_run_timestamp_seconds", seen(lambda t: t - 20), **node)


def _gpu(put: Callable[..., None], load: Callable[[float], float], host: str) -> None:
    gpu = {"job": "node", "host": host, "gpu": "0", "name": "NVIDIA H200"}
    put("sealift_gpu_utilization_ratio", lambda t: min(0.98, 0.6 * load(t)), **gpu)
    put("sealift_gpu_memory_used_bytes", _constant(61e9), **gpu)
    put("sealift_gpu_memory_total_bytes", _constant(150e9), **gpu)
    put("sealift_gpu_temperature_celsius", lambda t: 34 + 30 * load(t), **gpu)
    put("sealift_gpu_power_watts", lambda t: 120 + 380 * load(t), **gpu)


def _constant(value: float) -> Value:
    return lambda _: value


def _from(since: float, value: Value) -> Value:
    return lambda time: value(time) if time >= since else None


def _counted(times: list[float], rate: Value, ends: float) -> Value:
    """A counter that grows by a rate."""
    sums, total = {}, 0.0
    for before, time in zip([times[0], *times], times, strict=False):
        total += (rate(time) or 0) * (time - before)
        sums[time] = total
    return lambda time: sums[time] if time < ends else None
