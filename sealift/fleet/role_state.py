"""How each role of a host is: by Ollama's health check, the gateway, and what the host's probe measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sealift.fleet.figures import RoleFigures
from sealift.fleet.status import Standing
from sealift.service import Service
from sealift.services import GATEWAY, OLLAMA

_FRESH_S = 600  # a probe may load a model for five minutes; its figures are out of date after twice that


class State(StrEnum):
    """What can be said of a role."""

    UP = "up"
    DEGRADED = "degraded"  # it answers, but slowly
    LOADING = "loading"  # its model is not in memory
    DOWN = "down"


@dataclass(frozen=True)
class RoleState:
    """A role's state, and why it is not up; empty where it is."""

    state: State
    why: str = ""


def role_states(standing: Standing) -> Mapping[str, RoleState]:
    """How a host's roles are, by their names."""
    found = standing.figures
    probed = found.roles if found and found.age <= _FRESH_S else {}
    return {role: _state(role, standing, probed.get(role, RoleFigures())) for role in sorted(standing.roles)}


def is_loaded(model: str, standing: Standing) -> bool:
    """Whether a model is in memory. It is there once, by any of the names that it has."""
    names = {model, *(f"{role}:latest" for role, answering in standing.roles.items() if answering == model)}
    return not names.isdisjoint(standing.loaded)


def _state(role: str, standing: Standing, probed: RoleFigures) -> RoleState:
    if role in standing.failed:
        return RoleState(State.DOWN, standing.failed[role])
    if "running" not in _container_states(OLLAMA, standing):
        return RoleState(State.DOWN, f"{OLLAMA.name} does not run")
    gateway = _container_states(GATEWAY, standing)
    if "running" not in gateway:  # whatever Ollama's health check says, no client reaches the role
        return RoleState(State.DOWN, f"{GATEWAY.name} is {', '.join(gateway) or 'missing'}")
    if probed.up is False:
        return RoleState(State.DOWN, "the probe got no answer")
    if probed.degraded:
        took = "" if probed.answer_seconds is None else f" {probed.answer_seconds:.1f} s"
        return RoleState(State.DEGRADED, f"answers in{took}" if took else "answers slowly")
    if probed.up is None and not is_loaded(standing.roles[role], standing):
        return RoleState(State.LOADING, "its model is not in memory")
    return RoleState(State.UP)


def _container_states(service: Service, standing: Standing) -> list[str]:
    return [each.state for each in standing.containers if each.project == service.project]
