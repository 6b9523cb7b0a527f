"""What `tasks/services.py` would mend on a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sealift.drift.check import Check
from sealift.facts.compose import ComposeContainers, Container, Networks
from sealift.facts.docker import RulesAndRunning, shut_ports
from sealift.facts.files import PlainFile, Standing
from sealift.facts.live import LiveVersions
from sealift.facts.project import Project, is_ours, runs
from sealift.host.wanted import Wanted
from sealift.service import Service


def service_checks(wanted: Wanted) -> Iterator[Check]:
    """Checks of a host's services, in the order of the tasks."""
    networks = {network for service in wanted.services for network in service.networks}
    yield Check(Networks, lambda found: (f"network {name} missing" for name in sorted(networks - set(found))))
    for folder in sorted({folder for service in wanted.services for folder in service.folders}):
        yield _folder(folder)
    yield _containers(wanted)
    for path in wanted.left_behind:
        yield _left_behind(path)
    for service in wanted.services:
        if service.live:
            yield _taken(service, wanted)
    yield _let_in(wanted)


def _let_in(wanted: Wanted) -> Check:
    ports = {port.inside: service for service in wanted.services for port in wanted.ports(service)}

    def judge(found: tuple[list[str], frozenset[str]]) -> Iterator[str]:
        rules, running = found
        for port in shut_ports(rules, ports):
            if ports[port].project in running:  # or it has no rules, and none is lacking
                yield f"service {ports[port].name} is shut off by the firewall"

    return Check(RulesAndRunning, judge)


def _folder(path: str) -> Check:
    def judge(found: Standing | None) -> Iterator[str]:
        if found is None:
            yield f"folder {path} missing"

    return Check(PlainFile, judge, {"path": path})


def _left_behind(path: str) -> Check:
    def judge(found: Standing | None) -> Iterator[str]:
        if found is not None:
            yield f"{path} is of a service that is gone"

    return Check(PlainFile, judge, {"path": path})


def _containers(wanted: Wanted) -> Check:
    projects = [(service, Project.of(service, wanted)) for service in wanted.services]

    def judge(containers: Mapping[str, tuple[Container, ...]]) -> Iterator[str]:
        for service, project in projects:
            yield from _service(service, project, containers.get(project.name, ()))
        wanted_names = {project.name for _, project in projects}
        for name in sorted(containers.keys() - wanted_names):
            if is_ours(name):
                yield f"service {name} is too much"

    return Check(ComposeContainers, judge, {"projects": tuple(each.composed for _, each in projects)})


def _service(service: Service, project: Project, containers: tuple[Container, ...]) -> Iterator[str]:
    """What is wrong with a service's containers."""
    if runs(project, containers):
        return
    folder = service.live.target if service.live else ""
    live = {path: digest for path, digest in project.mounted.items() if folder and path.startswith(folder)}
    own = [each for each in containers if each.service == service.name]
    if not own:
        yield f"service {service.name} missing"
    for each in own:
        if each.state != "running":
            yield f"service {service.name} {each.state}"
        elif each.health != "healthy":
            yield f"service {service.name} {each.health or 'without a health check'}"
        elif each.image != project.images[service.name]:
            yield f"service {service.name} runs another image"
        elif runs(project, (replace(each, mounted={**each.mounted, **live}),)):
            yield f"service {service.name} sees other live files"
        else:
            yield f"service {service.name} runs with another configuration"


def _taken(service: Service, wanted: Wanted) -> Check:
    names = {version: name for name, version in service.live.versions.items()} if service.live else {}
    versions = wanted.generation.versions(service)

    def judge(found: Mapping[str, str]) -> Iterator[str]:
        for version, right in versions.items():
            if found and found.get(version) != right:
                yield f"service {service.name} does not go by its live file {names[version]}"

    return Check(LiveVersions, judge, {"service": service})
