"""Roles: which models answer them, and how Ollama knows them, as names for a model beside its own."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.release.locked import Lock, LockedModel
from sealift.release.types import Role

Answers = Mapping[str, str]  # role -> the model that answers


def first_choices(roles: Mapping[str, Role]) -> dict[str, str]:
    """The models that answer roles wherever they fit."""
    return {name: role.model for name, role in roles.items()}


def role_tags(answers: Answers, model: str) -> tuple[str, ...]:
    """The roles that a model plays, as MODEL:TAG: Ollama takes a name without a tag for `latest`.

    + model: its name in the lock
    """
    return tuple(f"{name}:latest" for name, answering in sorted(answers.items()) if answering == model)


def names_answered(lock: Lock, groups: frozenset[str], answers: Answers) -> tuple[str, ...]:
    """The names by which clients may ask a host's Ollama: its roles, and its models by their own names.

    `latest` is left out, as Ollama takes a name without a tag for it.

    + groups: the inventory groups of the host
    """
    names = {*answers, *placed_models(lock, groups, answers)}
    return tuple(sorted({name.removesuffix(":latest") for name in names}))


def placed_models(lock: Lock, groups: frozenset[str], answers: Answers) -> dict[str, LockedModel]:
    """The models that a host's Ollama has: those that answer there, and those that no role asks for.

    Of the others some do not fit: a client that asked for one by its name would take too much memory.

    + groups: the inventory groups of the host
    """
    asked = {model for role in lock.release.roles.values() for model in role.candidates}
    kept = set(answers.values()) | (lock.models.keys() - asked)
    return {name: model for name, model in lock.models_for(groups).items() if name in kept}
