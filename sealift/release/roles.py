"""Roles as Ollama knows them: names for a model beside its own."""

from __future__ import annotations

from sealift.release.types import Lock


def role_tags(lock: Lock, model: str) -> tuple[str, ...]:
    """The roles that a model plays, as MODEL:TAG: Ollama takes a name without a tag for `latest`.

    + model: its name in the lock
    """
    return tuple(f"{name}:latest" for name, role in sorted(lock.release.roles.items()) if role.model == model)
