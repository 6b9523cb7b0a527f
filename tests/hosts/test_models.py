"""The model store that Ollama reads. Ollama itself checks no digest, so it is done here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.commands import output
from tests.hosts.containers import find_container
from tests.hosts.gateway_client import Gateway
from tests.hosts.properties import RecordProperty

LIBRARY = "manifests/registry.ollama.ai/library"


@pytest.fixture(scope="session")
def mount(host: Host) -> dict[str, Any]:
    """The mount of Ollama's container that its setting OLLAMA_MODELS names."""
    container = find_container(host, "ollama")
    environment = dict(entry.split("=", 1) for entry in container["Config"]["Env"])
    (mount,) = [m for m in container["Mounts"] if m["Destination"] == environment["OLLAMA_MODELS"]]
    return dict(mount)


@pytest.fixture(scope="session")
def store(mount: dict[str, Any]) -> str:
    return str(mount["Source"])


def path_of(name: str) -> str:
    model, _, tag = name.partition(":")
    return f"{LIBRARY}/{model}/{tag or 'latest'}"


def digests_in(host: Host, store: str, name: str) -> set[str]:
    """The digests that a manifest of the store names."""
    manifest = json.loads(output(host, "cat %s", f"{store}/{path_of(name)}"))
    return {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}


def test_blobs_have_their_digests(
    host: Host, store: str, model: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """Every blob of the model has, read from the host's disk, the SHA-256 that the lock pins."""
    blobs = expected.models[model].blobs
    files = " ".join(f"sha256-{blob.hex}" for blob in blobs)
    listed = output(host, f"cd %s && sha256sum {files}", f"{store}/blobs")
    found = {line.split()[1]: line.split()[0] for line in listed.splitlines()}
    damaged = {file: digest for file, digest in found.items() if file != f"sha256-{digest}"}
    assert not damaged, f"run sealift apply --check-blobs, which ships them again: {', '.join(damaged)}"
    assert len(found) == len(blobs)
    record_property("read", f"{len(blobs)} blobs, {sum(blob.size for blob in blobs) / 1e6:.0f} MB")


def test_manifest_names_the_blobs(host: Host, store: str, model: str, expected: Expectations) -> None:
    """The model's manifest names the blobs that the lock pins, and no others."""
    assert digests_in(host, store, model) == {blob.digest for blob in expected.models[model].blobs}


def test_role_stands_for_its_model(
    host: Host, store: str, role: str, expected: Expectations, record_property: RecordProperty
) -> None:
    """The role stands for the model that it has on a host of this memory, and has what the lock gives it."""
    model, blobs = expected.roles[role].model, expected.roles[role].blobs
    record_property("model", model)
    assert digests_in(host, store, role) == {blob.digest for blob in blobs}
    assert expected.models[model].weights in digests_in(host, store, role)
    own = [blob.hex for blob in blobs if blob not in expected.models[model].blobs]
    for digest in own:
        assert output(host, "sha256sum <%s", f"{store}/blobs/sha256-{digest}").split()[0] == digest


def test_store_holds_nothing_else(host: Host, store: str, expected: Expectations) -> None:
    """Ollama's store holds the models and roles of the release, and nothing else."""
    names = [*expected.models, *expected.roles]
    files = set(output(host, "cd %s && find . -type f -printf '%%P\\n'", store).splitlines())
    digests = {digest for name in names for digest in digests_in(host, store, name)}
    assert files == {path_of(name) for name in names} | {f"blobs/{d.replace(':', '-')}" for d in digests}


def test_store_is_read_only_for_ollama(mount: dict[str, Any]) -> None:
    """Ollama cannot write to its model store."""
    assert mount["RW"] is False


def test_ollama_lists_the_models_and_roles(gateway: Gateway, expected: Expectations) -> None:
    """Ollama offers the models and roles of the release, and no others."""
    listed = gateway.send("GET", "/api/tags", gateway.right_key).json()["models"]
    names = {name if ":" in name else f"{name}:latest" for name in (*expected.models, *expected.roles)}
    assert {entry["name"] for entry in listed} == names
