"""How each role of a host is: by Ollama's health check, and by what the host's probe has measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sealift.fleet.figures import RoleFigures
from sealift.fleet.status import Standing
from sealift.services import OLLAMA

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
    serving = [each for each in standing.containers if each.project == OLLAMA.project]
    if not any(each.state == "running" for each in serving):
        return RoleState(State.DOWN, f"{OLLAMA.name} does not run")
    if probed.up is False:
        return RoleState(State.DOWN, "the probe got no answer")
    if probed.degraded:
        took = "" if probed.answer_seconds is None else f" {probed.answer_seconds:.1f} s"
        return RoleState(State.DEGRADED, f"answers in{took}" if took else "answers slowly")
    if probed.up is None and not is_loaded(standing.roles[role], standing):
        return RoleState(State.LOADING, "its model is not in memory")
    return RoleState(State.UP)
