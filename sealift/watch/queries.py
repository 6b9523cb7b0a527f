"""Every panel of every dashboard, as data.

The page of `sealift dashboard`, the boards for Grafana and the test that asks a running Prometheus read it.
"""

from __future__ import annotations

from sealift.watch.panel import OF_GATEWAYS, RATE, Board, Line, Panel, Unit

_HTTP = f'{OF_GATEWAYS},envoy_http_conn_manager_prefix="clients",host=~"$host"'
_USED = f'{OF_GATEWAYS},host=~"$host",role=~"$role",client=~"$client"'
_PROBED = '{host=~"$host",role=~"$role"}'
_HOST = '{host=~"$host"}'
_DISKS = '{host=~"$host",fstype!~"tmpfs|ramfs|iso9660|squashfs"}'
_ANSWERS = "envoy_http_downstream_rq_xx"
_NO_GPU = "only hosts with a GPU have it"
_NO_PUBLISH = "only after sealift status --publish"
_NO_OBJECTIVES = "only where the release has objectives"


def _rate(series: str, labels: str, by: str = "") -> str:
    return f"sum {f'by ({by}) ' if by else ''}(rate({series}{{{labels}}}[{RATE}]))"


def _share(status: int, by: str = "") -> str:
    part = _rate(_ANSWERS, f'{_HTTP},envoy_response_code_class="{status}"', by)
    return f"{part} / {_rate(_ANSWERS, _HTTP, by)}"


def _quantile(series: str, percent: int, by: str = "") -> str:
    buckets = _rate(f"{series}_bucket", _USED, f"le, {by}" if by else "le")
    return f"histogram_quantile({percent / 100}, {buckets}) / 1000"


def _quantiles(id: str, title: str, series: str) -> Panel:
    lines = (Line(f"P{percent}", _quantile(series, percent)) for percent in (50, 95, 99))
    return Panel(id, title, "s", tuple(lines))


def _each(by: str, id: str, title: str, unit: Unit, expression: str, empty: str = "") -> Panel:
    """A panel with a line for each host, role or client."""
    return Panel(id, title, unit, (Line(f"{{{{{by}}}}}", expression),), empty)


def _single(id: str, title: str, unit: Unit, expression: str, empty: str = "") -> Panel:
    return Panel(id, title, unit, (Line(title.lower(), expression),), empty)


UP = Panel(
    "up",
    "Answering",
    "number",
    (Line("hosts", 'sum(up{job="node"})'), Line("gateways", f"sum(up{{{OF_GATEWAYS}}})")),
)
ALERTS = _single(
    "alerts", "Alerts that fire", "number", 'count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)'
)
REQUESTS = _single("requests", "Requests", "requests/s", _rate(_ANSWERS, _HTTP))
ERRORS = Panel(
    "errors", "Failed and refused", "ratio", (Line("failed", _share(5)), Line("refused", _share(4)))
)
ANSWER = _quantiles("answer", "Time to the whole answer", "envoy_usage_answer")
FIRST = _quantiles("first", "Time to the first byte", "envoy_usage_first_byte")
TOKENS = Panel(
    "tokens",
    "Tokens",
    "tokens/s",
    (
        Line("written", _rate("envoy_usage_tokens_out", _USED)),
        Line("read", _rate("envoy_usage_tokens_in", _USED)),
    ),
)
ACTIVE = _single("active", "Requests at once", "number", f"sum(envoy_http_downstream_rq_active{{{_HTTP}}})")

HOST_UP = _each("host", "host-up", "Answers", "number", f"min by (host) (up{_HOST})")
HOST_REQUESTS = _each("host", "host-requests", "Requests", "requests/s", _rate(_ANSWERS, _HTTP, "host"))
HOST_FAILED = _each("host", "host-failed", "Failed", "ratio", _share(5, "host"))
HOST_ANSWER = _each("host", "host-answer", "Answer, P95", "s", _quantile("envoy_usage_answer", 95, "host"))
HOST_TOKENS = _each(
    "host", "host-tokens", "Tokens written", "tokens/s", _rate("envoy_usage_tokens_out", _USED, "host")
)
HOST_CPU = _each(
    "host",
    "host-cpu",
    "Processor",
    "ratio",
    f'1 - avg by (host) (rate(node_cpu_seconds_total{{host=~"$host",mode="idle"}}[{RATE}]))',
)
HOST_MEMORY = _each(
    "host",
    "host-memory",
    "Memory in use",
    "ratio",
    f"1 - max by (host) (node_memory_MemAvailable_bytes{_HOST})"
    f" / max by (host) (node_memory_MemTotal_bytes{_HOST})",
)
HOST_RUNTIME = _each(
    "host",
    "host-runtime",
    "Memory of Ollama",
    "bytes",
    f"max by (host) (sealift_runtime_memory_bytes{_HOST})",
)
HOST_DISK = _each(
    "host",
    "host-disk",
    "Free on the fullest disk",
    "ratio",
    f"min by (host) (node_filesystem_avail_bytes{_DISKS} / node_filesystem_size_bytes{_DISKS})",
)
HOST_CLOCK = _each(
    "host",
    "host-clock",
    "Clock off by",
    "s",
    f"max by (host) (abs(node_time_seconds{_HOST} - timestamp(node_time_seconds{_HOST})))",
)
HOST_CERTIFICATE = _each(
    "host",
    "host-certificate",
    "Left of the certificate",
    "days",
    f"(min by (host) (sealift_certificate_expiry_timestamp_seconds{_HOST}) - time()) / 86400",
)
HOST_PROBED = _each(
    "host",
    "host-probed",
    "Since the last probe",
    "s",
    f"time() - max by (host) (sealift_probe_last_run_timestamp_seconds{_HOST})",
)

ROLE_UP = _each(
    "role", "role-up", "Hosts that answer it", "number", f"sum by (role) (sealift_role_up{_PROBED})"
)
ROLE_HOSTS = _each(
    "role", "role-hosts", "Hosts that serve it", "number", f"count by (role) (sealift_role_up{_PROBED})"
)
ROLE_SLOW = _each(
    "role",
    "role-slow",
    "Hosts that answer slowly",
    "number",
    f"sum by (role) (sealift_role_degraded{_PROBED})",
)
ROLE_REQUESTS = _each(
    "role", "role-requests", "Answers", "requests/s", _rate("envoy_usage_answer_count", _USED, "role")
)
ROLE_FIRST = _each(
    "role", "role-first", "First byte, P95", "s", _quantile("envoy_usage_first_byte", 95, "role")
)
ROLE_ANSWER = _each("role", "role-answer", "Answer, P95", "s", _quantile("envoy_usage_answer", 95, "role"))
ROLE_TOKENS = _each(
    "role", "role-tokens", "Tokens written", "tokens/s", _rate("envoy_usage_tokens_out", _USED, "role")
)
PROBE_FIRST = _each(
    "role",
    "probe-first",
    "Probe: first token, slowest host",
    "s",
    f"max by (role) (sealift_role_first_token_seconds{_PROBED})",
)
PROBE_ANSWER = _each(
    "role",
    "probe-answer",
    "Probe: answer, slowest host",
    "s",
    f"max by (role) (sealift_role_answer_seconds{_PROBED})",
)
PROBE_SPEED = _each(
    "role",
    "probe-speed",
    "Probe: writing, slowest host",
    "tokens/s",
    f"min by (role) (sealift_role_tokens_per_second{_PROBED})",
)
PROBE_LOAD = _each(
    "role",
    "probe-load",
    "Probe: loading the model, slowest host",
    "s",
    f"max by (role) (sealift_role_load_seconds{_PROBED})",
)
_OBJECTIVES = "{{role}} {{objective}}"
KEPT = Panel(
    "kept",
    "Objectives kept, 30 days",
    "ratio",
    (Line(_OBJECTIVES, 'avg by (role, objective) (sealift:objective_kept:avg30d{role=~"$role"})'),),
    _NO_OBJECTIVES,
)
BUDGET = Panel(
    "budget",
    "Error budget left, 30 days",
    "ratio",
    (Line(_OBJECTIVES, 'min by (role, objective) (sealift:objective_budget_left{role=~"$role"})'),),
    _NO_OBJECTIVES,
)

CLIENT_REQUESTS = _each(
    "client", "client-requests", "Answers", "requests/s", _rate("envoy_usage_answer_count", _USED, "client")
)
CLIENT_WRITTEN = _each(
    "client",
    "client-written",
    "Tokens written",
    "tokens/s",
    _rate("envoy_usage_tokens_out", _USED, "client"),
)
CLIENT_READ = _each(
    "client", "client-read", "Tokens read", "tokens/s", _rate("envoy_usage_tokens_in", _USED, "client")
)
CLIENT_ANSWER = _each(
    "client", "client-answer", "Answer, P95", "s", _quantile("envoy_usage_answer", 95, "client")
)
CLIENT_KEYS = _each(
    "client",
    "client-keys",
    "Left of the key",
    "days",
    '(min by (client) (sealift_fleet_key_expiry_timestamp_seconds{client=~"$client"}) - time()) / 86400',
    f"{_NO_PUBLISH}, and of keys with a last day",
)

GPU_USE = _each(
    "host", "gpu-use", "GPU in use", "ratio", f"max by (host) (sealift_gpu_utilization_ratio{_HOST})", _NO_GPU
)
GPU_MEMORY = _each(
    "host",
    "gpu-memory",
    "GPU memory in use",
    "ratio",
    f"max by (host) (sealift_gpu_memory_used_bytes{_HOST} / sealift_gpu_memory_total_bytes{_HOST})",
    _NO_GPU,
)
GPU_HEAT = _each(
    "host",
    "gpu-heat",
    "GPU temperature",
    "celsius",
    f"max by (host) (sealift_gpu_temperature_celsius{_HOST})",
    _NO_GPU,
)
GPU_POWER = _each(
    "host", "gpu-power", "GPU power", "watts", f"sum by (host) (sealift_gpu_power_watts{_HOST})", _NO_GPU
)

RELEASES = _each(
    "release",
    "releases",
    "Hosts by release",
    "number",
    "count by (release) (max by (host, release) (sealift_release_info))",
)
GENERATIONS = _each(
    "generation",
    "generations",
    "Hosts by generation",
    "number",
    "count by (generation) (max by (of, generation) (sealift_fleet_generation_info))",
    _NO_PUBLISH,
)
DRAINED = _each("of", "drained", "Drained", "number", "max by (of) (sealift_fleet_drained)", _NO_PUBLISH)
DIFFERENCES = _each(
    "of",
    "differences",
    "Differences from the inventory",
    "number",
    "max by (of) (sealift_fleet_differences)",
    _NO_PUBLISH,
)
DAMAGED = _each(
    "of",
    "damaged",
    "Damaged blobs",
    "number",
    "max by (of) (sealift_fleet_damaged_blobs)",
    "only after sealift status --check-blobs --publish",
)

_HOSTS = (
    *(HOST_UP, HOST_REQUESTS, HOST_FAILED, HOST_ANSWER, HOST_TOKENS, HOST_CPU),
    *(HOST_MEMORY, HOST_RUNTIME, HOST_DISK, HOST_CLOCK, HOST_CERTIFICATE, HOST_PROBED),
)
_ROLES = (
    *(ROLE_UP, ROLE_HOSTS, ROLE_SLOW, ROLE_REQUESTS, ROLE_FIRST, ROLE_ANSWER, ROLE_TOKENS),
    *(PROBE_FIRST, PROBE_ANSWER, PROBE_SPEED, PROBE_LOAD, KEPT, BUDGET),
)
_CLIENTS = (CLIENT_REQUESTS, CLIENT_WRITTEN, CLIENT_READ, CLIENT_ANSWER, CLIENT_KEYS)

BOARDS = (
    Board("fleet", "Fleet", (), (UP, ALERTS, REQUESTS, ERRORS, ANSWER, FIRST, TOKENS, ACTIVE)),
    Board("host", "Host", ("host",), _HOSTS),
    Board("role", "Role", ("role", "host"), _ROLES),
    Board("clients", "Client usage", ("client", "role"), _CLIENTS),
    Board("gpu", "GPU", ("host",), (GPU_USE, GPU_MEMORY, GPU_HEAT, GPU_POWER)),
    Board("rollout", "Rollout", (), (RELEASES, GENERATIONS, DRAINED, DIFFERENCES, DAMAGED)),
)
