"""A fleet that is well, as series by the minute, and ways in which one of them goes wrong for a while."""

from __future__ import annotations

from collections.abc import Callable

WRONG = range(10, 30)  # minutes
DAY = 86400

Values = Callable[[int], float | None]
"""The value of a series in a minute; None where there is none."""


def gauge(well: float | None, wrong: float | None) -> Values:
    """A value, and another while something is wrong."""
    return lambda minute: wrong if minute in WRONG else well


def counter(well: float, wrong: float) -> Values:
    """What counts, by how much in a minute."""
    return lambda minute: sum(wrong if each in WRONG else well for each in range(minute))


def gone(of: Values) -> Values:
    """A series that is not there while something is wrong."""
    return lambda minute: None if minute in WRONG else of(minute)


def clock(off: float) -> Values:
    """A clock that is off by so many seconds while something is wrong."""
    return lambda minute: minute * 60 + (off if minute in WRONG else 0)


def stopped(age: float) -> Values:
    """A time that is always now, but stands still while something is wrong.

    + age: seconds that it is older from then on
    """
    return lambda minute: WRONG[0] * 60 - age if minute in WRONG else minute * 60


def _host(name: str, gpu: bool) -> dict[str, Values]:
    role = f'host="{name}",role="chat"'
    clients = f'host="{name}",job="gateway",envoy_http_conn_manager_prefix="clients"'
    disk = f'host="{name}",mountpoint="/",device="/dev/vda1",fstype="ext4"'
    answer = f'envoy_usage_answer_bucket{{host="{name}",job="gateway",client="app",role="chat"'
    return {
        **{f'up{{host="{name}",job="{job}"}}': gauge(1, 1) for job in ("node", "gateway")},
        f"sealift_role_up{{{role}}}": gauge(1, 1),
        f"sealift_role_degraded{{{role}}}": gauge(0, 0),
        f"sealift_role_missing{{{role}}}": gauge(0, 0),
        f"sealift_role_first_token_seconds{{{role}}}": gauge(0.3, 0.3),
        f"sealift_role_answer_seconds{{{role}}}": gauge(1, 1),
        f"sealift_role_tokens_per_second{{{role}}}": gauge(20, 20),
        **{
            f'sealift_objective{{{role},objective="{objective}"}}': gauge(value, value)
            for objective, value in OBJECTIVES.items()
        },
        f'sealift_probe_requests_total{{{role},outcome="ok"}}': counter(1, 1),
        f'sealift_model_size_bytes{{host="{name}",name="m"}}': gauge(2**30, 2**30),
        f'sealift_model_vram_bytes{{host="{name}",name="m"}}': gauge(gpu * 2**30, gpu * 2**30),
        f'sealift_gpu_wanted{{host="{name}"}}': gauge(gpu, gpu),
        **({f'sealift_gpu_up{{host="{name}"}}': gauge(1, 1)} if gpu else {}),
        f'sealift_runtime_memory_bytes{{host="{name}"}}': gauge(2**31, 2**31),
        f'sealift_runtime_memory_limit_bytes{{host="{name}"}}': gauge(2**33, 2**33),
        f'sealift_certificate_expiry_timestamp_seconds{{host="{name}"}}': gauge(400 * DAY, 400 * DAY),
        f'sealift_probe_last_run_timestamp_seconds{{host="{name}"}}': clock(0),
        f'node_textfile_scrape_error{{host="{name}"}}': gauge(0, 0),
        f'node_time_seconds{{host="{name}"}}': clock(0),
        f"node_filesystem_avail_bytes{{{disk}}}": gauge(60e9, 60e9),
        f"node_filesystem_size_bytes{{{disk}}}": gauge(100e9, 100e9),
        f"node_filesystem_readonly{{{disk}}}": gauge(0, 0),
        f'envoy_http_downstream_rq_xx{{{clients},envoy_response_code_class="2"}}': counter(10, 10),
        f'envoy_http_downstream_rq_xx{{{clients},envoy_response_code_class="5"}}': counter(0, 0),
        **{f'{answer},le="{le}"}}': counter(10, 10) for le in ("5000", "10000", "30000", "+Inf")},
    }


OBJECTIVES = {"first_token": 2, "answer": 3, "tokens_per_second": 5, "memory": 16e9, "success": 0.95}
_MONITOR = 'host="h1"'
WELL: dict[str, Values] = {
    **_host("h1", gpu=False),
    **_host("h2", gpu=True),
    **{f'up{{{_MONITOR},job="{job}"}}': gauge(1, 1) for job in ("prometheus", "alertmanager")},
    **{
        f'sealift_fleet_{what}{{{_MONITOR},job="node",of="{of}"}}': gauge(value, value)
        for of in ("h1", "h2")
        for what, value in (("answers", 1), ("differences", 0), ("damaged_blobs", 0))
    },
    **{
        f'sealift_fleet_certificate_expiry_timestamp_seconds{{{_MONITOR},certificate="{name}"}}': gauge(
            400 * DAY, 400 * DAY
        )
        for name in ("monitor", "ca")
    },
    f'sealift_fleet_key_expiry_timestamp_seconds{{{_MONITOR},client="app"}}': gauge(300 * DAY, 300 * DAY),
    f"sealift_fleet_checked_timestamp_seconds{{{_MONITOR}}}": clock(0),
    f"sealift_backup_timestamp_seconds{{{_MONITOR}}}": clock(0),
    **{
        f"{name}{{{_MONITOR}}}": counter(0, 0)
        for name in (
            "prometheus_tsdb_wal_writes_failed_total",
            "prometheus_tsdb_compactions_failed_total",
            "prometheus_tsdb_head_truncations_failed_total",
            "prometheus_tsdb_reloads_failures_total",
            "prometheus_tsdb_size_retentions_total",
            "prometheus_rule_evaluation_failures_total",
            "prometheus_notifications_errors_total",
            "prometheus_notifications_dropped_total",
        )
    },
    f'alertmanager_notifications_failed_total{{{_MONITOR},integration="email"}}': counter(0, 0),
}
