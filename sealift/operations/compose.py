"""Compose projects whose containers run what their generation says."""

from __future__ import annotations

import shlex
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.compose import ComposeContainers, Composed, ComposeProjects, Container, Networks
from sealift.facts.files import PlainFile
from sealift.facts.project import Project, is_ours, runs
from sealift.host_paths import COMPOSED, OWNERS
from sealift.operations.hold import Hold, held
from sealift.operations.live import go_back

Commands = Generator[StringCommand, None, None]


@operation()
def project_running(project: Project, wait_s: int = 180, hold: Hold | None = None) -> Commands:
    """Have a project's services run and be healthy, with the images and the configuration that they should.

    + project: what must run
    + wait_s: seconds until they must be healthy
    + hold: how the gateway holds requests meanwhile, where it stands before them
    """
    composed = project.composed
    containers = host.get_fact(ComposeContainers, projects=(composed,)).get(project.name, ())
    if runs(project, containers):
        return
    compose = f"docker compose --project-name {project.name} --file {project.file}"
    recreate = " --force-recreate" if any(_is_stuck(project, container) for container in containers) else ""
    run = (
        f"{compose} up --detach --wait --wait-timeout {wait_s} --remove-orphans{recreate}"
        f" || {{ {compose} ps --all >&2; {compose} logs --tail 30 >&2; "
        f"{go_back('a service did not come up')}; exit 1; }}\n{noting(composed)}"
    )
    yield StringCommand(held(hold if containers else None, run))


def noting(composed: Composed) -> str:
    """A line of sh(1) that notes what Compose makes of a file, so that nobody has to ask it again."""
    new = f"{composed.record}.new"
    return (
        f"umask 022; mkdir -p {COMPOSED} && {{ sha256sum <{composed.file} && {composed.hashes}; }} >{new} && "
        f"mv -T {new} {composed.record}"
    )


@operation()
def folder_present(path: str) -> Commands:
    """Have a folder of a container's; what is in it stays.

    + path: absolute, on the host
    """
    if host.get_fact(PlainFile, path=path) is None:
        owner = OWNERS.get(path)
        owned = f"install -d -m 755 -o {owner} -g {owner} {path}"
        yield StringCommand(f"umask 077 && mkdir -p {path}" if owner is None else owned)


@operation()
def path_absent(path: str) -> Commands:
    """Have nothing here, whatever a container left: a file, a link or a folder.

    + path: absolute, on the host
    """
    if host.get_fact(PlainFile, path=path) is not None:
        yield StringCommand(f"rm -rf -- {shlex.quote(path)}")


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


def _is_stuck(project: Project, container: Container) -> bool:
    """Whether Compose, which looks at neither, would leave a container that must be made anew."""
    misread = container.state == "running" and container.mounted != project.mounted
    return misread or container.health == "unhealthy"
