"""What a Compose project must be, and whether containers are it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.facts.compose import Composed, Container
from sealift.host.wanted import Wanted
from sealift.service import PROJECT_PREFIX, Service

_OURS = re.compile(rf"{PROJECT_PREFIX}[a-z0-9][a-z0-9.-]*")


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

    @property
    def composed(self) -> Composed:
        """What is asked about it."""
        return Composed(self.name, self.file, tuple(sorted(self.mounted)))

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
