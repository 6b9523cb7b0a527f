"""What a host must look like, written down for the acceptance tests in `tests/hosts`.

It says nothing that is not in the lock or in the inventory: the tests compare a host with these, never
with what the deployment did.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from sealift.blob import Blob
from sealift.files import canonical_json, write_atomically
from sealift.host.settings import DockerSettings, GatewaySettings, OllamaSettings, SiteSettings
from sealift.release.locked import WEIGHTS, Lock, LockedModel
from sealift.release.roles import Answers, placed_models
from sealift.release.values import Digest, Frozen


class ExpectedModel(Frozen):
    """A model of the release: the blobs of its manifest, and the one with its weights."""

    blobs: tuple[Blob, ...]
    weights: Digest


class ExpectedFile(Frozen):
    """A plain file that must stand somewhere."""

    target: str
    mode: str = Field(description="octal")
    sha256: str


class ExpectedRole(Frozen):
    """A role that must answer."""

    model: str
    context: int = Field(description="tokens")


class Expectations(Frozen):
    """What is claimed about one host, and how to reach it."""

    host: str
    address: str = Field(description="IP address or DNS name that clients reach it by")
    groups: tuple[str, ...]
    ssh_config: Path
    release: str = Field(description="NAME:VERSION")
    bundle: Digest
    packages: dict[str, str] = Field(description="name: version")
    images: dict[str, tuple[str, Digest]] = Field(description="service: (name, image ID)")
    models: dict[str, ExpectedModel]
    files: dict[str, ExpectedFile]
    roles: dict[str, ExpectedRole]
    api_key: SecretStr
    ollama: OllamaSettings
    gateway: GatewaySettings
    docker: DockerSettings
    stand_in_gpu: bool


def expect(
    host: str,
    groups: tuple[str, ...],
    settings: SiteSettings,
    *,
    address: str,
    bundle: str,
    lock: Lock,
    answers: Answers,
    api_key: SecretStr,
) -> Expectations:
    """What `lock` and `settings` promise about a host.

    + host: its name in the inventory
    + groups: its groups in the inventory
    + settings: its settings
    + address: where clients reach it
    + bundle: digest of the bundle the lock came in
    + lock: what the release pins
    + answers: which models answer the roles on a host of its memory
    + api_key: a key that the gateway accepts
    """
    return Expectations(
        host=host,
        address=address,
        groups=groups,
        ssh_config=settings.ssh_config_file,
        release=lock.release.reference,
        bundle=bundle,
        packages={package.name: package.version for package in lock.packages_for(frozenset(groups))},
        images={service: (image.name, image.image_id) for service, image in lock.images.items()},
        models={name: _expect_model(model) for name, model in placed_models(lock, answers).items()},
        files={
            name: ExpectedFile(target=file.target, mode=file.mode, sha256=blob.hex)
            for name, (file, blob) in lock.files_for(frozenset(groups)).items()
        },
        roles={
            name: ExpectedRole(model=answers[name], context=role.context)
            for name, role in lock.release.roles.items()
        },
        api_key=api_key,
        ollama=settings.ollama,
        gateway=settings.gateway,
        docker=settings.docker,
        stand_in_gpu=settings.gpu.stand_in,
    )


def _expect_model(model: LockedModel) -> ExpectedModel:
    weights = next(b.digest for b in model.layers if b.media_type == WEIGHTS)
    return ExpectedModel(blobs=model.blobs, weights=weights)


def write(expectations: Expectations, path: Path) -> None:
    """Write expectations, API key included, to a file that only its owner can read."""
    document = expectations.model_dump(mode="json")
    document["api_key"] = expectations.api_key.get_secret_value()
    write_atomically(path, canonical_json(document), mode=0o600)


def read(path: Path) -> Expectations:
    """Read what `write` wrote."""
    return Expectations.model_validate_json(path.read_bytes())
