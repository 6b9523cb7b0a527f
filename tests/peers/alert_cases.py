"""What causes each alert: series that go wrong for a while in a fleet that is well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.peers.fleet_well import DAY, WELL, WRONG, Values, clock, counter, gauge, gone, stopped


@dataclass(frozen=True)
class Firing:
    """An alert that fires.

    + labels: beside its name and severity
    + summary: what people read; None where the case is not about this one
    """

    alert: str
    labels: Mapping[str, str]
    summary: str | None = None


@dataclass(frozen=True)
class Case:
    """What causes an alert, beside a fleet that is well.

    + series: that take the place of the fleet's, or come beside them
    + firing: all that fires while it is so
    + at: the minute in which it fires for certain
    + quiet: a minute in which something has begun, and no alert fires yet
    + over: the minute in which nothing fires any more
    """

    series: Mapping[str, Values]
    firing: Sequence[Firing]
    at: int = 25
    quiet: int = 12
    over: int = 69


_CHAT = {"host": "h2", "role": "chat"}
_ROLE = 'host="h2",role="chat"'
_H2 = {"host": "h2"}
_DISK = 'host="h2",mountpoint="/",device="/dev/vda1",fstype="ext4"'
_ON_DISK = {**_H2, "mountpoint": "/", "device": "/dev/vda1", "fstype": "ext4"}
_STICK = 'host="h2",mountpoint="/media",device="/dev/sdb1",fstype="vfat"'
_ANSWER = 'envoy_usage_answer_bucket{host="h2",job="gateway",client="app",role="chat"'
_CLIENTS = 'host="h2",job="gateway",envoy_http_conn_manager_prefix="clients"'


def _filling(minute: int) -> float:
    """By 4 GB in an hour, until somebody makes room."""
    return 45e9 if minute < WRONG[0] else 70e9 if minute > 150 else 45e9 - (minute - WRONG[0]) * 4e9 / 60


_GONE = {
    series: gone(of) for series, of in WELL.items() if 'host="h2"' in series and not series.startswith("up{")
}

CASES: dict[str, Case] = {
    "RoleDown": Case(
        {f"sealift_role_up{{{_ROLE}}}": gauge(1, 0)},
        [Firing("RoleDown", _CHAT, "h2: role chat does not answer.")],
    ),
    "RoleDegraded": Case(
        {f"sealift_role_degraded{{{_ROLE}}}": gauge(0, 1)},
        [Firing("RoleDegraded", _CHAT, "h2: role chat answers, but slowly.")],
    ),
    "ModelMissing": Case(
        {f"sealift_role_missing{{{_ROLE}}}": gauge(0, 1)},
        [Firing("ModelMissing", _CHAT, "h2: Ollama does not have the model of role chat.")],
    ),
    "AnswersSlow": Case(
        {
            f'{_ANSWER},le="5000"}}': counter(10, 0),
            f'{_ANSWER},le="10000"}}': counter(10, 0),
            f'{_ANSWER.replace("app", "probe")},le="5000"}}': counter(100, 100),
            f'{_ANSWER.replace("app", "probe")},le="+Inf"}}': counter(100, 100),
        },
        [Firing("AnswersSlow", _CHAT, "h2: of the answers of role chat to clients, 5 % take 29s or longer.")],
        at=28,
        quiet=11,
    ),
    "TokensSlow": Case(
        {f"sealift_role_tokens_per_second{{{_ROLE}}}": gauge(20, 4.5)},
        [Firing("TokensSlow", _CHAT, "h2: role chat writes 4.5 tokens a second.")],
    ),
    "SuccessLow": Case(
        {f'envoy_http_downstream_rq_xx{{{_CLIENTS},envoy_response_code_class="5"}}': counter(0, 10)},
        [Firing("SuccessLow", {**_H2, "job": "gateway"}, "h2: 50 % of the requests to its gateway succeed.")],
        at=28,
        quiet=14,
    ),
    "MemoryHigh": Case(
        {"sealift_runtime_memory_bytes{" + 'host="h2"}': gauge(2**31, 7.8 * 2**30)},
        [Firing("MemoryHigh", _H2, "h2: Ollama takes 7.8GiB of memory.")],
    ),
    "GpuLost": Case(
        {'sealift_gpu_up{host="h2"}': gauge(1, 0)},
        [Firing("GpuLost", _H2, "h2: its GPU is gone.")],
    ),
    "ModelOnCpu": Case(
        {'sealift_model_vram_bytes{host="h2",name="m"}': gauge(2**30, 2**29)},
        [
            Firing(
                "ModelOnCpu",
                {**_H2, "name": "m"},
                "h2: 512MiB of model m are not in the GPU's memory.",
            )
        ],
    ),
    "HostDown": Case(
        {**_GONE, **{f'up{{host="h2",job="{job}"}}': gauge(1, 0) for job in ("node", "gateway")}},
        [
            Firing("HostDown", _H2, "h2: nothing of it answers."),
            *(Firing("TargetDown", {**_H2, "job": job}) for job in ("node", "gateway")),
        ],
    ),
    "TargetDown": Case(
        {'up{host="h2",job="gateway"}': gauge(1, 0)},
        [Firing("TargetDown", {**_H2, "job": "gateway"}, "h2: its gateway gives Prometheus no figures.")],
    ),
    "ProbeSilent": Case(
        {'sealift_probe_last_run_timestamp_seconds{host="h2"}': stopped(0)},
        [Firing("ProbeSilent", _H2, "h2: nobody has asked its roles lately, so how they are is not known.")],
        quiet=19,
    ),
    "MetricsFileBroken": Case(
        {'node_textfile_scrape_error{host="h2"}': gauge(0, 1)},
        [Firing("MetricsFileBroken", _H2, "h2: a file in /var/lib/sealift/metrics cannot be read.")],
    ),
    "DiskLow": Case(
        {
            f"node_filesystem_avail_bytes{{{_DISK}}}": gauge(60e9, 9e9),
            # A stick that is full, and cannot be written to.
            f"node_filesystem_avail_bytes{{{_STICK}}}": gauge(0, 0),
            f"node_filesystem_size_bytes{{{_STICK}}}": gauge(4e9, 4e9),
            f"node_filesystem_readonly{{{_STICK}}}": gauge(1, 1),
        },
        [Firing("DiskLow", _ON_DISK, "h2: 9 % of / are free.")],
    ),
    "DiskFilling": Case(
        {f"node_filesystem_avail_bytes{{{_DISK}}}": _filling},
        [Firing("DiskFilling", _ON_DISK, "h2: / will be full in less than 24 hours.")],
        quiet=60,
        at=140,
        over=160,
    ),
    "CertificateExpiring": Case(
        {'sealift_certificate_expiry_timestamp_seconds{host="h2"}': gauge(400 * DAY, 13 * DAY + 25 * 60)},
        [
            Firing(
                "CertificateExpiring",
                _H2,
                "h2: the certificate that its gateway shows has 13d 0h 0m 0s left.",
            )
        ],
    ),
    "ClockOff": Case(
        {'node_time_seconds{host="h2"}': clock(-30)},
        [Firing("ClockOff", _H2, "h2: its clock is off by 30s.")],
    ),
    "KeyExpiring": Case(
        {
            'sealift_fleet_key_expiry_timestamp_seconds{host="h1",client="app"}': gauge(
                300 * DAY, 2 * DAY + 25 * 60
            )
        },
        [Firing("KeyExpiring", {"host": "h1", "client": "app"}, "Client app: its key has 2d 0h 0m 0s left.")],
    ),
    "HostUnreachable": Case(
        {'sealift_fleet_answers{host="h1",job="node",of="h2"}': gauge(1, 0)},
        [Firing("HostUnreachable", _H2, "h2: the control node does not reach it by SSH.")],
    ),
    "Drift": Case(
        {'sealift_fleet_differences{host="h1",job="node",of="h2"}': gauge(0, 3)},
        [Firing("Drift", _H2, "h2: 3 things are not as they are to be.")],
    ),
    "BlobsDamaged": Case(
        {'sealift_fleet_damaged_blobs{host="h1",job="node",of="h2"}': gauge(0, 2)},
        [Firing("BlobsDamaged", _H2, "h2: 2 blobs are not what their names say.")],
        quiet=9,
    ),
    "StatusOld": Case(
        {'sealift_fleet_checked_timestamp_seconds{host="h1"}': stopped(DAY * 2)},
        [
            Firing(
                "StatusOld",
                {},
                "The fleet was looked over 2d 0h 15m 0s ago, so drift and keys are not known.",
            )
        ],
    ),
    "BackupOld": Case(
        {'sealift_backup_timestamp_seconds{host="h1"}': stopped(DAY * 9)},
        [Firing("BackupOld", {"host": "h1"}, "h1: the last backup is 9d 0h 15m 0s old.")],
    ),
    "ObjectiveBudgetSpent": Case(
        {
            'sealift:objective_budget_left{host="h2",role="embed",objective="answer"}': gauge(0.2, -0.1),
        },
        [
            Firing(
                "ObjectiveBudgetSpent",
                {"host": "h2", "role": "embed", "objective": "answer"},
                "h2: role embed broke its objective answer too often in 30 days.",
            )
        ],
        quiet=9,
    ),
    "PrometheusFailing": Case(
        {'prometheus_tsdb_wal_writes_failed_total{host="h1"}': counter(0, 4)},
        [Firing("PrometheusFailing", {"host": "h1"}, "h1: Prometheus fails to keep or to judge figures.")],
        quiet=9,
        over=95,
    ),
    "PrometheusForgets": Case(
        {'prometheus_tsdb_size_retentions_total{host="h1"}': counter(0, 1)},
        [
            Firing(
                "PrometheusForgets",
                {"host": "h1"},
                "h1: Prometheus drops figures sooner than monitoring.retention_days, for lack of room.",
            )
        ],
        quiet=9,
        over=400,
    ),
    "AlertsNotSent": Case(
        {'prometheus_notifications_errors_total{host="h1"}': counter(0, 1)},
        [Firing("AlertsNotSent", {"host": "h1"}, "h1: Prometheus cannot hand alerts to Alertmanager.")],
    ),
    "NobodyTold": Case(
        {'alertmanager_notifications_failed_total{host="h1",integration="email"}': counter(0, 1)},
        [
            Firing(
                "NobodyTold",
                {"host": "h1", "integration": "email"},
                "h1: Alertmanager cannot tell anybody by email.",
            )
        ],
    ),
}
