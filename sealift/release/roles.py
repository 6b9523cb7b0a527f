"""Roles: which models answer them, and how Ollama knows them, as names for a model beside its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sealift.release.locked import Lock
from sealift.release.locked_model import LockedModel
from sealift.release.objectives import OF_WORDS
from sealift.release.role import Role
from sealift.release.types import Release
from sealift.release.variants import Variant

Answers = Mapping[str, str]  # role -> the model that answers


def first_choices(roles: Mapping[str, Role]) -> dict[str, str]:
    """The models that answer roles wherever they fit."""
    return {name: role.model for name, role in roles.items()}


@dataclass(frozen=True)
class Named:
    """A model as Ollama has it, and its names.

    + title: for people: `model gemma3:270m`, or `role classify` where that has something of its own
    + tags: as MODEL:TAG: Ollama takes a name without a tag for `latest`
    """

    title: str
    tags: tuple[str, ...]
    variant: Variant


def names_of(lock: Lock, model: str, answers: Answers) -> Iterator[Named]:
    """A model under its own name and those of the roles that it answers.

    + model: its name in the lock
    """
    roles = {role: lock.variant(model, role) for role, its in sorted(answers.items()) if its == model}
    own = lock.variant(model)
    plain = [f"{role}:latest" for role, variant in roles.items() if variant == own]
    yield Named(f"model {model}", tuple(dict.fromkeys((model, *plain))), own)
    for role, variant in roles.items():
        if variant != own:
            yield Named(f"role {role}", (f"{role}:latest",), variant)


def placed_names(lock: Lock, groups: frozenset[str], answers: Answers) -> tuple[Named, ...]:
    """All that a host's Ollama has.

    + groups: the inventory groups of the host
    """
    return tuple(
        each for model in placed_models(lock, groups, answers) for each in names_of(lock, model, answers)
    )


def names_answered(lock: Lock, groups: frozenset[str], answers: Answers) -> tuple[str, ...]:
    """The names by which clients may ask a host's Ollama: its roles, and its models by their own names.

    `latest` is left out, as Ollama takes a name without a tag for it.

    + groups: the inventory groups of the host
    """
    names = {*answers, *placed_models(lock, groups, answers)}
    return tuple(sorted({name.removesuffix(":latest") for name in names}))


def blind_names(lock: Lock, groups: frozenset[str], answers: Answers) -> tuple[str, ...]:
    """Of the names by which clients may ask a host's Ollama, those whose models see no images.

    + groups: the inventory groups of the host
    """
    models = placed_models(lock, groups, answers)
    all_names = {**{name: name for name in models}, **answers}
    return tuple(sorted(n.removesuffix(":latest") for n, m in all_names.items() if not lock.models[m].sees))


def wrong_kinds(release: Release, models: Mapping[str, LockedModel]) -> Iterator[str]:
    """What roles ask of models that cannot answer it: `roles: NAME has ..., but MODEL ...`.

    + models: those that are known
    """
    for name, role in sorted(release.roles.items()):
        for model in (model for model in role.candidates if model in models):
            words = [
                *(["questions"] if role.questions else []),
                *sorted(OF_WORDS & role.objectives.figures.keys()),
            ]
            if models[model].embeds and words:
                yield f"roles: {name} has {', '.join(words)}, but {model} answers in numbers: embeddings"
            if role.pairs and not models[model].embeds:
                yield f"roles: {name} has pairs, but {model} answers in words, and makes no embeddings"


def placed_models(lock: Lock, groups: frozenset[str], answers: Answers) -> dict[str, LockedModel]:
    """The models that a host's Ollama has: those that answer there, and those that no role asks for.

    Of the others some do not fit: a client that asked for one by its name would take too much memory.

    + groups: the inventory groups of the host
    """
    asked = {model for role in lock.release.roles.values() for model in role.candidates}
    kept = set(answers.values()) | (lock.models.keys() - asked)
    return {name: model for name, model in lock.models_for(groups).items() if name in kept}
