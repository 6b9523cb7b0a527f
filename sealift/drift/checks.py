"""What `deploy.py` would mend on a host: the facts that its operations go by, and what each must be.

Every task has its checks here. A test on real hosts holds the two together: each kind of damage is told by
these, and mended by those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyinfra.api import FactBase

from sealift.depot.needed import needed_blobs
from sealift.depot.repository import SignedRepository
from sealift.facts.apt import BroughtPackages, DpkgState, InstalledPackages
from sealift.facts.compose import ComposeContainers, ComposeProjects, Container, Networks
from sealift.facts.docker import (
    CONTAINERD_TOML,
    DAEMON_JSON,
    Daemon,
    DaemonState,
    DockerRules,
    shut_ports,
)
from sealift.facts.files import FileList, PlainFile, Standing
from sealift.facts.garbage import Garbage, Unneeded
from sealift.facts.generation import GenerationFiles
from sealift.facts.host_store import Access, StoreAccess
from sealift.facts.images import Images, ImageStore, familiar
from sealift.facts.models import Models, ModelStore
from sealift.facts.nvidia import CDI_SPEC, STAND_IN, CdiState, MergedDaemonJsonStands, NvidiaCdi
from sealift.facts.text import Links, TextFile
from sealift.host import package_source
from sealift.host.daemon_json import daemon_json
from sealift.host.gpus import GPU
from sealift.host.wanted import Wanted
from sealift.host_paths import BLOBS, GENERATIONS, ROOT
from sealift.operations.compose import Project, is_ours, runs
from sealift.operations.generation import expected_files
from sealift.operations.models import blob_name, repairs
from sealift.release.ollama_manifest import manifest_path, model_manifest
from sealift.release.roles import role_tags
from sealift.services import Service

_FILES = Path(__file__).parents[2] / "files"
_Judge = Callable[[Any], Iterator[str]]


@dataclass(frozen=True)
class Check:
    """A fact to ask for, and what is told where it is not as it must be.

    + judge: takes the fact; gives a line per difference
    """

    fact: type[FactBase[Any]]
    judge: _Judge
    arguments: Mapping[str, Any] = field(default_factory=dict)


def checks(wanted: Wanted, repository: SignedRepository) -> tuple[Check, ...]:
    """All checks of a host, in the order of the tasks.

    + repository: of its release, as the depot has signed it
    """
    return (
        Check(StoreAccess, _access),
        *_packages(wanted, repository),
        *_plain_files(wanted),
        *_docker(wanted),
        *_nvidia(wanted),
        *_generation(wanted),
        Check(Images, lambda store: _images(store, wanted)),
        Check(Models, lambda store: _models(store, wanted)),
        *_services(wanted),
        Check(Garbage, lambda found: _garbage(found, wanted)),
    )


def _text(path: str, content: str) -> Check:
    digest = hashlib.sha256(content.encode()).hexdigest()

    def judge(found: tuple[str, str] | None) -> Iterator[str]:
        if found is None:
            yield f"{path} missing"
        elif found[0] != digest:
            yield f"{path} altered"
        elif found[1] != "644":
            yield f"{path} has mode {found[1]}, expected 644"

    return Check(TextFile, judge, {"path": path})


def _access(wrong: Mapping[str, tuple[Access, Access]]) -> Iterator[str]:
    for path, (found, to_be) in sorted(wrong.items()):
        yield f"{path} {found.against(to_be)}"


def _absent(path: str) -> Check:
    return Check(TextFile, lambda found: iter([f"{path} is too much"] if found else []), {"path": path})


def _packages(wanted: Wanted, repository: SignedRepository) -> Iterator[Check]:
    links = package_source.links(wanted)
    pool = f"{package_source.folder(wanted)}/pool"
    yield Check(Links, lambda found: iter([] if found == links else [f"{pool} altered"]), {"folder": pool})
    for path, (_, content) in package_source.files(wanted, repository).items():
        yield _text(path, content)
    versions = {package.name: package.version for package in wanted.packages}

    def judge(have: DpkgState) -> Iterator[str]:
        if have.interrupted:
            yield "dpkg was stopped in the middle of its work"
        for name, version in versions.items():
            if have.versions.get(name) != version:
                yield f"package {name} {have.versions.get(name, 'missing')}, expected {version}"

    yield Check(InstalledPackages, judge)
    yield Check(
        BroughtPackages,
        lambda listed: (f"package {name} is too much" for name in sorted(set(listed) - versions.keys())),
    )


def _plain_files(wanted: Wanted) -> Iterator[Check]:
    for name, (file, blob) in sorted(wanted.files.items()):
        right = Standing("f", "0:0", file.mode.lstrip("0"), blob.hex)

        def judge(found: Standing | None, name: str = name, right: Standing = right) -> Iterator[str]:
            if found is None:
                yield f"file {name} missing"
            elif found != right:
                yield f"file {name} altered"

        yield Check(PlainFile, judge, {"path": file.target})
    targets = {file.target for file, _ in wanted.files.values()}
    yield Check(
        FileList, lambda listed: (f"file {path} is too much" for path in sorted(set(listed) - targets))
    )


def _docker(wanted: Wanted) -> Iterator[Check]:
    yield _text(CONTAINERD_TOML, (_FILES / "containerd/config.toml").read_text())
    yield _daemon("containerd.service", CONTAINERD_TOML)
    base = daemon_json(wanted.settings.docker)
    if GPU in wanted.groups:

        def judge(stands: str | None) -> Iterator[str]:
            if stands != "same":
                yield f"{DAEMON_JSON} altered" if stands else f"{DAEMON_JSON} lacks NVIDIA's runtime"

        yield Check(MergedDaemonJsonStands, judge, {"base": base})
    else:
        yield _text(DAEMON_JSON, base)
    yield _daemon("docker.service", DAEMON_JSON)


def _daemon(unit: str, configuration: str) -> Check:
    def judge(state: DaemonState) -> Iterator[str]:
        if not state.enabled:
            yield f"{unit} does not start at boot"
        if not state.active:
            yield f"{unit} does not run"
        elif not state.runs_its_configuration:
            yield f"{unit} runs with an older configuration"

    return Check(Daemon, judge, {"unit": unit, "configuration": configuration})


def _nvidia(wanted: Wanted) -> Iterator[Check]:
    if GPU not in wanted.groups:
        yield _absent(STAND_IN)
        yield _absent(CDI_SPEC)
    elif wanted.settings.gpu.stand_in:
        yield _text(STAND_IN, (_FILES / "nvidia/stand-in.cdi.yaml").read_text())
    else:
        yield _absent(STAND_IN)
        yield Check(NvidiaCdi, _cdi)


def _cdi(state: CdiState) -> Iterator[str]:
    if state.driver is None:
        yield "no NVIDIA driver is loaded"
    elif not state.spec_is_current:
        yield f"{CDI_SPEC} is not of the NVIDIA driver {state.driver}"


def _generation(wanted: Wanted) -> Iterator[Check]:
    right = expected_files(wanted.generation)
    target = f"generations/{wanted.generation.id}"

    def current(links: Mapping[str, str]) -> Iterator[str]:
        found = links.get("current", "none")
        if found != target:
            yield f"generation {found.rpartition('/')[2]}, expected {wanted.generation.id}"

    def judge(found: Mapping[str, tuple[str, str]]) -> Iterator[str]:
        for path in sorted(right.keys() | found.keys()):
            if path not in found:
                yield f"configuration {path} missing"
            elif path not in right:
                yield f"configuration {path} is too much"
            elif found[path] != right[path]:
                yield f"configuration {path} differs"

    yield Check(Links, current, {"folder": ROOT})
    yield Check(GenerationFiles, judge, {"generation": "../current"})


def _images(store: ImageStore, wanted: Wanted) -> Iterator[str]:
    for image in wanted.images.values():
        found = store.ids.get(familiar(image.name))
        if found is None:
            yield f"image {image.name} missing"
        elif found != image.image_id:
            yield f"image {image.name} is another one"


def _models(store: ModelStore, wanted: Wanted) -> Iterator[str]:
    tags: list[str] = []
    blobs: list[str] = []
    for name, model in wanted.models.items():
        own = (name, *role_tags(wanted.answers, name))
        tags += own
        blobs += map(blob_name, model.blobs)
        if any(repairs(store, model.blobs, model_manifest(model), own)):
            missing = any(manifest_path(tag) not in store.manifests for tag in own)
            yield f"model {name} {'missing' if missing else 'altered'}"
    for path in sorted(store.manifests.keys() - set(map(manifest_path, tags))):
        yield f"model {path.rpartition('library/')[2]} is too much"
    if store.placed.keys() - set(blobs):
        yield "files of no model in Ollama's store"
    if store.replaced:
        yield "a model that was repaired is loaded as it was before"


def _garbage(found: Unneeded, wanted: Wanted) -> Iterator[str]:
    needed = {f"{BLOBS}/{blob.hex}" for blob in needed_blobs(wanted.lock, wanted.groups)}
    blobs = set(found.blobs) - needed  # what was shipped and is not active yet stays
    own = f"{GENERATIONS}/{wanted.generation.id}"
    for what, paths in (
        ("generations", set(found.generations) - {own}),
        ("package repositories", set(found.repositories) - {package_source.folder(wanted)}),
        ("blobs", blobs),
    ):
        if paths:
            yield f"{len(paths)} {what} that no generation needs"


def _services(wanted: Wanted) -> Iterator[Check]:
    networks = {network for service in wanted.services for network in service.networks}
    yield Check(Networks, lambda found: (f"network {name} missing" for name in sorted(networks - set(found))))
    for service in wanted.services:
        yield _service(service, wanted)
    ports = {port.inside: service for service in wanted.services for port in service.ports}
    yield Check(
        DockerRules,
        lambda rules: (
            f"service {ports[p].name} is shut off by the firewall" for p in shut_ports(rules, ports)
        ),
    )
    projects = {service.project for service in wanted.services}
    yield Check(
        ComposeProjects,
        lambda found: (
            f"service {name} is too much" for name in found if name not in projects and is_ours(name)
        ),
    )


def _service(service: Service, wanted: Wanted) -> Check:
    project = Project.of(service, wanted)

    def judge(containers: tuple[Container, ...]) -> Iterator[str]:
        if runs(project, containers):
            return
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
            else:
                yield f"service {service.name} runs with another configuration"

    paths = tuple(sorted(project.mounted))
    arguments = {"project": project.name, "file": project.file, "paths": paths}
    return Check(ComposeContainers, judge, arguments)
