"""A host gets what its inventory groups use, and nothing else."""

from __future__ import annotations

import pytest

from sealift.blob import Blob
from sealift.depot.needed import needed_blobs
from sealift.release.locked import Lock
from sealift.services import OLLAMA
from tests.unit import samples
from tests.unit.fleet_site import MODEL, lock, wanted

EMBED = "bge-m3:567m"
SPARE = "spare:1b"


def grouped(**roles: object) -> Lock:
    """A lock with the sample's model for a role `chat`, one for `embed`, and one that no role asks for."""
    document = samples.release().model_dump()
    models = {
        **document["models"],
        EMBED: {"archive": "m.tar"},
        SPARE: {"archive": "m.tar", "groups": ["lab"]},
    }
    found = lock(samples.release(models=models, roles=roles))
    (chat,) = found.models.values()
    other = {
        name: chat.model_copy(
            update={"config": chat.config.model_copy(update={"digest": f"sha256:{n:064x}"})}
        )
        for n, name in enumerate((EMBED, SPARE), start=70)
    }
    return found.model_copy(update={"models": {MODEL: chat, **other}})


ROLES: dict[str, object] = {
    "chat": {"model": MODEL, "groups": ["llm"], "context": 8192},
    "embed": {"model": EMBED, "groups": ["embedding"]},
}


def _configs(of: Lock, *groups: str) -> set[str]:
    shipped = {blob.digest for blob in needed_blobs(of, frozenset(groups))}
    return {name for name, model in of.models.items() if model.config.digest in shipped}


@pytest.mark.parametrize(
    ("groups", "roles", "models"),
    [
        (("llm",), {"chat"}, {MODEL}),
        (("embedding",), {"embed"}, {EMBED}),
        (("llm", "embedding"), {"chat", "embed"}, {MODEL, EMBED}),
        (("lab",), set(), {SPARE}),
        ((), set(), set()),
    ],
)
def test_a_host_serves_the_roles_of_its_groups_and_has_their_models(
    groups: tuple[str, ...], roles: set[str], models: set[str]
) -> None:
    found = wanted(*groups, of=grouped(**ROLES))
    assert found.roles.keys() == found.answers.keys() == roles
    assert found.models.keys() == models
    assert _configs(found.lock, *groups) == models


def test_only_the_roles_of_a_host_raise_its_context() -> None:
    of = grouped(**ROLES)
    assert wanted("llm", of=of).settings.ollama.context_length == 8192
    assert wanted("embedding", of=of).settings.ollama.context_length == 4096


def test_a_host_without_the_runtime_has_no_models_and_no_roles() -> None:
    document = samples.release().model_dump()
    images = {**document["images"], OLLAMA.name: {**document["images"][OLLAMA.name], "groups": ["llm"]}}
    found = wanted("front", of=lock(samples.release(images=images)))
    assert [service.name for service in found.services] == ["gateway", "budgets", "front"]
    assert not found.models and not found.roles
    images_blobs: set[Blob] = {found.images["gateway"].config, *found.images["gateway"].layers}
    assert images_blobs <= set(needed_blobs(found.lock, found.groups))
    assert found.lock.images[OLLAMA.name].config not in needed_blobs(found.lock, found.groups)


def test_packages_of_any_group_are_for_its_hosts() -> None:
    package = samples.package("prometheus", b"prometheus").model_copy(update={"groups": ("monitor",)})
    of = lock().model_copy(update={"packages": (*lock().packages, package)})
    assert [each.name for each in of.packages_for(frozenset({"monitor"}))] == ["docker.io", "prometheus"]
    assert [each.name for each in of.packages_for(frozenset({"llm"}))] == ["docker.io"]
    assert package in of.host_packages


def test_the_control_node_is_no_group_of_hosts() -> None:
    with pytest.raises(ValueError, match="control is the control node"):
        samples.release(roles={"chat": {"model": MODEL, "groups": ["control"]}})
