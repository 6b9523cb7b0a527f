"""A good host as a probe finds it, and what preflight says of one like it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sealift.host.model_fit import Misfit, Room, choose
from sealift.host.preflight import check, room_of
from sealift.host.probe import HostFacts, parse_probe
from sealift.host.settings import OllamaSettings
from sealift.release.locked import Lock
from tests.unit import samples
from tests.unit.fleet_site import lock, site_settings

GIB = 1 << 30
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD = """\
begin=
os=debian
suite=trixie
architecture=amd64
package=dash
package=openssh-server
uid=0
systemd=yes
clock=1795262400
memory=8589934592
store_disk=65024 10737418240
docker_disk=65025 10737418240
listener=22 users:(("sshd",pid=17,fd=3))
own=machine-id 0123
own=SSH-key AAAAC3Nz
rollout=0123 root on control out of /srv/depot, since 2026-11-21 12:00:00 UTC
end=
"""
ALL = frozenset({"all"})
HOST = parse_probe("h1", GOOD)


def misfit(wanted: Lock, ollama: OllamaSettings, room: Room) -> Misfit | None:
    return choose(wanted, ALL, ollama, room).misfit


def with_models(roles: dict[str, Any], **more: int) -> Lock:
    """A lock with these roles. + more: bytes of the weights of further models."""
    document = samples.release().model_dump()
    models = {**document["models"], **{name: {"archive": "more.tar"} for name in more}}
    site = lock(samples.release(models=models, roles=roles))
    (one,) = site.models.values()
    made = {
        name: one.model_copy(
            update={"layers": (one.layers[0].model_copy(update={"size": size}), *one.layers[1:])}
        )
        for name, size in more.items()
    }
    return site.model_copy(update={"models": {**site.models, **made}})


def problems(facts: HostFacts = HOST, to_ship: int = 0, **settings: Any) -> list[str]:
    return checked(facts, lock(), ALL, to_ship, **settings)


def checked(
    facts: HostFacts, wanted: Lock, groups: frozenset[str], to_ship: int, **settings: Any
) -> list[str]:
    parsed = site_settings(**settings)
    found = choose(wanted, groups, parsed.ollama, room_of(facts, parsed, groups)).misfit
    return [str(problem) for problem in check("h1", facts, parsed, wanted, groups, found, to_ship, NOW)]
