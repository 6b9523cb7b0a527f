"""Compose projects whose containers run what their generation says."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.compose import ComposeContainers, ComposeProjects, Container, Networks
from sealift.facts.files import PlainFile
from sealift.host.wanted import Wanted
from sealift.operations.live import go_back
from sealift.services import PROJECT_PREFIX, Service

_OURS = re.compile(rf"{PROJECT_PREFIX}[a-z0-9][a-z0-9.-]*")
Commands = Generator[StringCommand, None, None]


@dataclass(frozen=True)
class Project:
    """What must run.

    + name: Compose's name of the project, and of its only service's container
    + file: the Compose file, on the host
    + spec: digest of the configuration, which the containers carry as a label
    + images: image ID by service
    + mounted: SHA-256 of configuration files by their path in the containers
    """

    name: str
    file: str
    spec: str
    images: Mapping[str, str]
    mounted: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, service: Service, wanted: Wanted) -> Project:
        """A service's, as a host is to run it."""
        return cls(
            name=service.project,
            file=service.compose_file,
            spec=wanted.generation.specs[service.name],
            images={service.name: wanted.images[service.name].image_id},
            mounted=wanted.generation.mounted(service),
        )


@operation()
def project_running(project: Project, wait_s: int = 180) -> Commands:
    """Have a project's services run and be healthy, with the images and the configuration that they should.

    + project: what must run
    + wait_s: seconds until they must be healthy
    """
    paths = tuple(sorted(project.mounted))
    containers = host.get_fact(ComposeContainers, project=project.name, file=project.file, paths=paths)
    if runs(project, containers):
        return
    compose = f"docker compose --project-name {project.name} --file {project.file}"
    recreate = " --force-recreate" if any(_is_stuck(project, container) for container in containers) else ""
    yield StringCommand(
        f"{compose} up --detach --wait --wait-timeout {wait_s} --remove-orphans{recreate}"
        f" || {{ {compose} ps --all >&2; {compose} logs --tail 30 >&2; "
        f"{go_back('a service did not come up')}; exit 1; }}"
    )


@operation()
def folder_present(path: str) -> Commands:
    """Have a folder that a container writes to; what is in it stays.

    + path: absolute, on the host
    """
    if host.get_fact(PlainFile, path=path) is None:
        yield StringCommand(f"umask 077 && mkdir -p {path}")


@operation()
def network_present(network: str) -> Commands:
    """Have a network of Docker's that containers share and that has no way out.

    It is not made by Compose: several projects join it, and none of them owns it.

    + network: its name
    """
    if network not in host.get_fact(Networks):
        yield StringCommand(f"docker network create --internal {network}")


@operation()
def only_projects(projects: tuple[str, ...]) -> Commands:
    """Have no Compose projects of sealift's but these.

    + projects: Compose's names of those that stay
    """
    running: list[str] = host.get_fact(ComposeProjects)
    for project in running:
        if project not in projects and is_ours(project):
            yield StringCommand(f"docker compose --project-name {project} down --remove-orphans")


def is_ours(project: str) -> bool:
    """Whether a Compose project is one of sealift's, by its name."""
    return _OURS.fullmatch(project) is not None


def runs(project: Project, containers: tuple[Container, ...]) -> bool:
    """Whether these containers are what the project must run."""
    services = sorted(container.service for container in containers)
    return services == sorted(project.images) and all(
        container.state == "running"
        and container.health == "healthy"
        and container.spec == project.spec
        and container.image == project.images[container.service]
        and container.made_from == container.to_be
        and container.mounted == project.mounted
        for container in containers
    )


def _is_stuck(project: Project, container: Container) -> bool:
    """Whether Compose, which looks at neither, would leave a container that must be made anew."""
    misread = container.state == "running" and container.mounted != project.mounted
    return misread or container.health == "unhealthy"
