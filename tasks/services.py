"""The services of a host, as its current generation has them."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.facts.project import Project
from sealift.host.wanted import Wanted
from sealift.operations.compose import (
    folder_present,
    network_present,
    only_projects,
    path_absent,
    project_running,
)
from sealift.operations.docker import ports_open
from sealift.operations.generation import generation_proved
from sealift.operations.hold import hold_of
from sealift.operations.live import live_files_taken


@deploy("Services")
def run_services(wanted: Wanted) -> None:
    """Run each service, in its order; remove those that the host is to have no more."""
    networks = sorted({network for service in wanted.services for network in service.networks})
    for network in host.loop(networks):
        network_present(name=f"Make the network {network}", network=network)
    for folder in host.loop(sorted({folder for service in wanted.services for folder in service.folders})):
        folder_present(name=f"Make the folder {folder}", path=folder)
    for service in host.loop(wanted.services):
        project_running(
            name=f"Run {service.name}",
            project=Project.of(service, wanted),
            hold=hold_of(wanted.settings.gateway) if service.serves_models else None,
        )
    for service in host.loop([service for service in wanted.services if service.live]):
        live_files_taken(
            name=f"Have {service.name} go by its live files",
            wanted=wanted,
            service=service,
        )
    ports_open(
        name="Have Docker let the network in to what services publish",
        ports=tuple(port.inside for service in wanted.services for port in wanted.ports(service)),
    )
    only_projects(
        name="Remove services that the host is to have no more",
        projects=tuple(service.project for service in wanted.services),
    )
    for path in host.loop(wanted.left_behind):
        path_absent(name=f"Remove {path}, of a service that is gone", path=path)
    generation_proved(name="Have a generation to go back to")
