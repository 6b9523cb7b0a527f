"""What a page asks about this very moment, beside its panels. `$since` stands for the time of the page."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.watch.panel import OF_GATEWAYS

NOW: Mapping[str, str] = {
    "firing": 'ALERTS{alertstate="firing",severity!="none"}',
    "firing-since": "ALERTS_FOR_STATE",
    "targets": "min by (host, job) (up)",
    "roles": "max by (host, role) (sealift_role_up)",
    "slow": "max by (host, role) (sealift_role_degraded)",
    "release": "max by (host, release) (sealift_release_info)",
    "goals": "max by (role, objective) (sealift_objective)",
    "kept": "min by (role, objective) (sealift:objective_kept:avg30d)",
    "left": "min by (role, objective) (sealift:objective_budget_left)",
    "answers": f"sum by (client) (increase(envoy_usage_answer_count{{{OF_GATEWAYS}}}[$since]))",
    "written": f"sum by (client) (increase(envoy_usage_tokens_out{{{OF_GATEWAYS}}}[$since]))",
    "read": f"sum by (client) (increase(envoy_usage_tokens_in{{{OF_GATEWAYS}}}[$since]))",
    "client-p95": "histogram_quantile(0.95, sum by (le, client) "
    f"(rate(envoy_usage_answer_bucket{{{OF_GATEWAYS}}}[$since]))) / 1000",
    "drained": "max by (of) (sealift_fleet_drained)",
    "differs": "max by (of) (sealift_fleet_differences)",
}
"""By a name unlike any panel's."""

NOW_EMPTY: Mapping[str, str] = {
    "firing": "no alert may fire",
    "firing-since": "no alert may be pending",
    "goals": "only where the release has objectives",
    "kept": "only where the release has objectives",
    "left": "only where the release has objectives",
    "drained": "only after sealift status --publish",
    "differs": "only after sealift status --publish",
}
"""Why a healthy site may have nothing to say."""
