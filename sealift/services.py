"""What runs on hosts, as data: a service is an entry here and a folder of templates, and nothing else.

Its image is one of the release's. How it is rendered, started, watched and verified follows from the entry.
"""

from __future__ import annotations

from dataclasses import replace

from sealift.host_paths import (
    ALERTMANAGER_DATA,
    ALERTS,
    BUDGETS,
    METRICS,
    MODELS,
    OWNERS,
    PROBED,
    PROMETHEUS_DATA,
    PUBLISHED,
    PUBLISHED_BLOBS,
)
from sealift.service import Live, Mount, Port, Service

INNER = "sealift-inner"  # where the gateway meets what it stands before
WATCH = "sealift-watch"  # where Prometheus meets whom it tells of alerts
MONITOR_GROUP = "monitor"  # whose hosts watch all others
MONITOR_NAME = "sealift-monitor"  # of the one certificate that may read figures
PROMETHEUS_IMAGE = "prometheus"  # a release that has it shows figures of its gateways

ADMIN_PORT = 9901  # of Envoy, on loopback in its container
# An Envoy image has no client but bash.
_ADMIN = (
    "exec 3<>/dev/tcp/127.0.0.1/{port} && "
    r"printf 'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3"
    " && "
    r"""mapfile -t <&3 && printf '%s\n' "${{MAPFILE[@]}}" """
)


def asking_envoy(path: str) -> tuple[str, ...]:
    """Command and arguments that print what Envoy's admin interface says, in its container."""
    return ("bash", "-c", _ADMIN.format(port=ADMIN_PORT, path=path))


VERSIONS = "/stats?filter=version_text"  # of Envoy's admin interface: which live files it goes by
_VERSIONS = asking_envoy(VERSIONS)
# Live files of the gateway and of the front door.
LISTENER = "listener.yaml"
KEYS = "keys.yaml"
LIMITS = "limits.yaml"
ALLOWED = "allowed.yaml"
CLUSTERS = "clusters.yaml"
GUARD = "guard.yaml"
BUDGET = "budget.yaml"
TLS = "tls.yaml"
CA = "ca.yaml"
HOSTS = "hosts.yaml"

_LIVE = {
    LISTENER: "listener_manager.lds.version_text",
    KEYS: "extension_config_discovery.http_filter.keys.version_text",
    LIMITS: "extension_config_discovery.http_filter.limits.version_text",
    ALLOWED: "extension_config_discovery.http_filter.allowed.version_text",
    GUARD: "extension_config_discovery.http_filter.guard.version_text",
    TLS: "sds.tls.version_text",
}
# Envoy refuses paths below /dev but these.
_VALIDATE = ("envoy", "--mode", "validate", "--config-path", "/dev/fd/0")

# In Ollama's container: its health check, which tells how its models are, too.
HEALTH = "/etc/ollama/health.sh"

# What the gateway notes of answers to clients with a budget, and what the keeper of budgets makes of it.
_ANSWERS = Mount(f"{BUDGETS}/answers", "/budgets/answers", writable=True)
_SUMS = Mount(f"{BUDGETS}/sums", "/budgets/sums", writable=True)
ANSWERS_LOG, SUMS, USED = f"{_ANSWERS.target}/log", _SUMS.target, f"{_SUMS.target}/used"
STALE_S = 15  # the keeper speaks every second; one that has been silent for longer counts no more
_KEEPER = "/etc/sealift/keeper.sh"
KEEPING = {"keeper": _KEEPER, "log": ANSWERS_LOG, "folder": SUMS, "stale_s": STALE_S}

OLLAMA = Service(
    name="ollama",
    mounts=(Mount(MODELS, "/models"), Mount("health.sh", HEALTH)),
    networks=(INNER,),
    serves_models=True,
    required=True,
)
GATEWAY = Service(
    name="gateway",
    ports=(
        Port(8443, "gateway.port"),
        Port(9464, "monitoring.metrics_port", PROMETHEUS_IMAGE, figures=True),
    ),
    mounts=(
        Mount("envoy.yaml", "/etc/envoy/envoy.yaml"),
        _ANSWERS,
        replace(_SUMS, writable=False),
    ),
    networks=(INNER,),
    required=True,
    validate=_VALIDATE,
    live=Live(
        "/etc/envoy/live",
        {
            **_LIVE,
            BUDGET: "extension_config_discovery.http_filter.budget.version_text",
            CLUSTERS: "cluster_manager.cds.version_text",
        },
        ask=_VERSIONS,
    ),
)
BUDGET_KEEPER = Service(
    name="budgets",
    image=GATEWAY.name,
    mounts=(Mount("keeper.sh", _KEEPER), _ANSWERS, _SUMS),
    memory_limit_mib=64,
)
FRONT = Service(
    name="front",
    image=GATEWAY.name,
    groups=frozenset({"front"}),
    ports=(
        Port(9443, "front.port"),
        Port(9465, "monitoring.front_metrics_port", PROMETHEUS_IMAGE, figures=True),
    ),
    mounts=(Mount("envoy.yaml", "/etc/envoy/envoy.yaml"),),
    beside=(GATEWAY.name,),
    validate=_VALIDATE,
    live=Live(
        "/etc/envoy/live",
        {**_LIVE, HOSTS: "cluster.hosts.version_text", CA: "sds.ca.version_text"},
        ask=_VERSIONS,
    ),
)

# What watches the fleet: docs/watch.md.
# Users and groups, by number. Both see their host's processes, and no file of any that has another number.
_NODE_USER = 65531
PROBE_USER = OWNERS[METRICS]
NODE = Service(
    name="node",
    ports=(Port(9100, "monitoring.node_port", figures=True),),
    mounts=(
        Mount("web.yaml", "/etc/node/web.yaml", group=_NODE_USER),
        Mount("/", "/rootfs", follows=True),
        Mount(METRICS, "/metrics", kept=True),
    ),
    beside=(GATEWAY.name,),
    memory_limit_mib=64,
)
PROBE_FOLDER = "/opt/sealift"
PROBE = Service(
    name="probe",
    mounts=(
        *(
            Mount(f"{name}.py", f"{PROBE_FOLDER}/probe/{name}.py")
            for name in ("probe", "asking", "configuration", "said", "series")
        ),
        Mount("/proc", "/host/proc"),
        Mount("probe.json", "/etc/sealift/probe.json"),
        Mount("key", "/etc/sealift/key", group=PROBE_USER),
        Mount("ca.crt", "/etc/sealift/ca.crt"),
        Mount(METRICS, "/metrics", writable=True),
    ),
    networks=(INNER,),
    needs=frozenset({GATEWAY.name}),
    leaves=(PROBED,),
    memory_limit_mib=96,
)
_MONITOR = frozenset({MONITOR_GROUP})
PROMETHEUS = Service(
    name=PROMETHEUS_IMAGE,
    groups=_MONITOR,
    mounts=(
        Mount("prometheus.yml", "/etc/prometheus/prometheus.yml"),
        *(
            Mount(name, f"/etc/prometheus/rules/{name}")
            for name in ("alerts.yml", "objectives.yml", "own.yml")
        ),
        Mount("ca.crt", "/etc/prometheus/ca.crt"),
        Mount("monitor.crt", "/etc/prometheus/monitor.crt"),
        Mount("monitor.key", "/etc/prometheus/monitor.key", private=True),
        Mount(PROMETHEUS_DATA, "/prometheus", writable=True),
    ),
    networks=(WATCH,),
    reaches_out=True,
    beside=(GATEWAY.name, NODE.name),
    # Files are found beside the one that names them, here as there.
    validate=("sh", "-c", "cd /tmp && base64 -d | tar -xf - && promtool check config prometheus.yml"),
    leaves=(PUBLISHED, PUBLISHED_BLOBS),
    memory_setting="monitoring.memory_limit_mib",
)
ALERTMANAGER = Service(
    name="alertmanager",
    groups=_MONITOR,
    mounts=(
        Mount("alertmanager.yml", "/etc/alertmanager/alertmanager.yml", private=True),
        Mount(ALERTMANAGER_DATA, "/alertmanager", writable=True),
    ),
    networks=(WATCH,),
    reaches_out=True,
    needs=frozenset({PROMETHEUS.name}),
    validate=("amtool", "check-config", "/dev/stdin"),
    memory_limit_mib=128,
)
ALERT_LOG = Service(
    name="alertlog",
    image=PROBE.name,
    groups=_MONITOR,
    mounts=(
        Mount("alertlog.py", "/etc/sealift/alertlog.py"),
        Mount(ALERTS, "/alerts", writable=True),
    ),
    networks=(WATCH,),
    needs=frozenset({ALERTMANAGER.name}),
    memory_limit_mib=64,
)

# In the order in which they start.
SERVICES = (OLLAMA, GATEWAY, BUDGET_KEEPER, FRONT, NODE, PROBE, ALERT_LOG, ALERTMANAGER, PROMETHEUS)
