"""All targets, by name."""

from __future__ import annotations

from functools import cache

from tests.fuzz import (
    archives,
    at_bench,
    at_dashboard,
    at_monitor,
    at_probe,
    at_promotion,
    at_rollout,
    at_site,
    from_hosts,
    of_chains,
    of_generations,
    on_build_machine,
    over_http,
)
from tests.fuzz.target import Target


@cache
def targets() -> dict[str, Target]:
    """Every parser of foreign bytes that sealift has."""
    carried = (
        *at_site.targets(),
        *from_hosts.targets(),
        *at_bench.TARGETS,
        *at_promotion.TARGETS,
        *at_rollout.TARGETS,
        *of_chains.TARGETS,
        *of_generations.TARGETS,
    )
    watching = (*at_probe.TARGETS, *at_monitor.TARGETS, *at_dashboard.TARGETS)
    every = (*on_build_machine.TARGETS, *archives.TARGETS, *carried, *watching, *over_http.targets())
    return {target.name: target for target in every}
