"""What a host must look like, written down for the acceptance tests in `tests/hosts`.

It says what `Wanted` says, which is made of the lock and the inventory: the tests compare a host with these,
never with what the deployment did.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from sealift.blob import Blob
from sealift.files import canonical_json, write_atomically
from sealift.host.monitoring_settings import MonitoringSettings
from sealift.host.promises import objectives_there
from sealift.host.settings import DockerSettings, FrontSettings, GatewaySettings, OllamaSettings, published
from sealift.host.wanted import Wanted
from sealift.release.locked import Lock
from sealift.release.locked_model import WEIGHTS
from sealift.release.objectives import Objectives
from sealift.release.questions import Golden, Pair, Question
from sealift.release.values import Digest, Frozen
from sealift.service import Service


class ExpectedModel(Frozen):
    """A model of the release: the blobs of its manifest, and the one with its weights."""

    blobs: tuple[Blob, ...]
    weights: Digest


class ExpectedFile(Frozen):
    """A plain file that must stand somewhere."""

    target: str
    mode: str = Field(description="octal")
    sha256: str


class ExpectedService(Frozen):
    """A service that must run.

    + ports: TCP, that it publishes on the host
    + figures: that of them which shows figures to who watches; 0 where none does
    + private: files of its folder in the generation that root alone may read
    """

    image: str
    image_id: Digest
    ports: tuple[int, ...]
    figures: int = 0
    private: tuple[str, ...]


class ExpectedRole(Frozen):
    """A role that must answer.

    + blobs: of its manifest
    + plain: whether nothing but its model decides how it answers
    + embeds: whether it answers in numbers
    + objectives: what it promises on this host
    + released: what its release promises
    + questions, pairs: that show whether it answers well
    """

    model: str
    blobs: tuple[Blob, ...]
    plain: bool
    embeds: bool = False
    objectives: Objectives = Objectives()
    released: Objectives = Objectives()
    questions: tuple[Question, ...] = ()
    pairs: tuple[Pair, ...] = ()
    context: int = Field(description="tokens")

    @property
    def golden(self) -> tuple[Golden, ...]:
        """All that shows whether it answers well."""
        return (*self.questions, *self.pairs)


class Expectations(Frozen):
    """What is claimed about one host, and how to reach it."""

    host: str
    address: str = Field(description="IP address or DNS name that clients reach it by")
    groups: tuple[str, ...]
    ssh_config: Path
    sudo: bool
    release: str = Field(description="NAME:VERSION")
    bundle: Digest
    packages: dict[str, str] = Field(description="name: version")
    services: dict[str, ExpectedService]
    models: dict[str, ExpectedModel]
    files: dict[str, ExpectedFile]
    roles: dict[str, ExpectedRole]
    api_key: SecretStr
    acceptance_key: SecretStr | None = Field(description="of a client whose limit may be used up")
    acceptance_roles: tuple[str, ...] = Field(description="that this client may ask for; empty is every role")
    ollama: OllamaSettings
    gateway: GatewaySettings
    front: FrontSettings = FrontSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    docker: DockerSettings
    root: str = Field(description="where the host store lies")
    stand_in_gpu: bool


def expect(
    wanted: Wanted,
    *,
    address: str,
    api_key: SecretStr,
    acceptance_key: SecretStr | None,
    acceptance_roles: tuple[str, ...] = (),
) -> Expectations:
    """What a host that is as it is to be shows.

    + wanted: what it is to be
    + address: where clients reach it
    + api_key: a key that the gateway accepts
    + acceptance_key: the same of a client whose limit may be used up
    + acceptance_roles: that this client may ask for; empty is every role
    """
    settings = wanted.settings
    return Expectations(
        host=wanted.host,
        address=address,
        groups=tuple(sorted(wanted.groups)),
        ssh_config=settings.ssh_config_file,
        sudo=settings.sudo,
        release=wanted.release,
        bundle=wanted.bundle,
        packages={package.name: package.version for package in wanted.packages},
        services={service.name: _expect_service(wanted, service) for service in wanted.services},
        models={name: _expect_model(wanted.lock, name) for name in wanted.models},
        files={
            name: ExpectedFile(target=file.target, mode=file.mode, sha256=blob.hex)
            for name, (file, blob) in wanted.files.items()
        },
        roles={
            name: ExpectedRole(
                model=wanted.answers[name],
                blobs=wanted.lock.variant(wanted.answers[name], name).blobs,
                plain=role.is_plain,
                objectives=objectives_there(settings, name, role),
                released=role.objectives,
                questions=role.questions,
                pairs=role.pairs,
                embeds=wanted.lock.models[wanted.answers[name]].embeds,
                context=role.context,
            )
            for name, role in wanted.roles.items()
        },
        api_key=api_key,
        acceptance_key=acceptance_key,
        acceptance_roles=acceptance_roles,
        ollama=settings.ollama,
        gateway=settings.gateway,
        front=settings.front,
        monitoring=settings.monitoring,
        docker=settings.docker,
        root=settings.root,
        stand_in_gpu=settings.gpu.stand_in,
    )


def _expect_service(wanted: Wanted, service: Service) -> ExpectedService:
    image = wanted.images[service.name]
    return ExpectedService(
        image=image.name,
        image_id=image.image_id,
        ports=tuple(published(wanted.settings, port) for port in wanted.ports(service)),
        figures=next((published(wanted.settings, p) for p in wanted.ports(service) if p.figures), 0),
        private=tuple(mount.source for mount in service.mounts if mount.private),
    )


def _expect_model(lock: Lock, name: str) -> ExpectedModel:
    weights = next(b.digest for b in lock.models[name].layers if b.media_type == WEIGHTS)
    return ExpectedModel(blobs=lock.variant(name).blobs, weights=weights)


def write(expectations: Expectations, path: Path) -> None:
    """Write expectations, API key included, to a file that only its owner can read."""
    document = expectations.model_dump(mode="json")
    for name, key in (("api_key", expectations.api_key), ("acceptance_key", expectations.acceptance_key)):
        document[name] = key.get_secret_value() if key else None
    write_atomically(path, canonical_json(document), mode=0o600)


def read(path: Path) -> Expectations:
    """Read what `write` wrote."""
    return Expectations.model_validate_json(path.read_bytes())
