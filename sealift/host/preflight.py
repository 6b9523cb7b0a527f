"""Whether hosts can take a release: asked of every host before any of them is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sealift.host.docker_checks import docker_problems
from sealift.host.gpus import GPU, gpu_problems
from sealift.host.model_fit import MIB, Misfit, Room
from sealift.host.probe import HostFacts, HostRoom
from sealift.host.root import root_problems
from sealift.host.settings import SiteSettings, published
from sealift.release.locked import Lock
from sealift.release.suites import SUITES
from sealift.release.types import Release
from sealift.service import Port, Service

# What brings an engine or a `docker` command of its own. Source: "Uninstall old versions" in Docker's
# installation guide for Debian, read the other way round too. What a lock has itself conflicts with nothing.
_CONFLICTING = (
    "docker.io",
    "docker-engine",
    "docker-ce",
    "docker-ce-cli",
    "docker-compose-plugin",
    "docker-buildx-plugin",
    "containerd.io",
    "podman-docker",
)


# Source: machine-id(5), systemd-machine-id-setup(1); ssh-keygen(1), -A
_RENEW = {
    "machine-id": "rm /etc/machine-id && systemd-machine-id-setup",
    "SSH-key": "rm /etc/ssh/ssh_host_* && ssh-keygen -A",
}


@dataclass(frozen=True)
class Problem:
    """Why a host cannot take a release."""

    host: str
    what: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        """For people, on one line."""
        return f"{self.host}: {self.what}, expected {self.expected}. {self.remedy}"


def check(
    host: str,
    facts: HostFacts,
    settings: SiteSettings,
    lock: Lock,
    groups: frozenset[str],
    misfit: Misfit | None,
    bytes_to_ship: int,
    now: datetime,
) -> tuple[Problem, ...]:
    """Everything that keeps a host from taking a release.

    + facts: what it is
    + groups: its inventory groups
    + misfit: of its models
    + bytes_to_ship: of the release, to its host store
    + now: the control node's time, when the host was asked
    """
    found = (
        *_platform(facts, lock),
        *root_problems(facts.root_folder, settings),
        *_disks(facts, settings, _bytes_to_load(facts, lock, groups), bytes_to_ship),
        *_memory(facts, settings),
        *_models(facts, settings, lock, groups, misfit),
        *_ports(facts, settings, lock.release, groups),
        *_clock(facts, settings, now),
        *_packages(facts, lock, groups),
        *docker_problems(facts.docker, settings.docker, GPU in groups),
    )
    return tuple(Problem(host, *problem) for problem in found)


_Found = Iterator[tuple[str, str, str]]  # what, expected, remedy


def twins(hosts: Mapping[str, HostFacts]) -> Mapping[str, Problem]:
    """Hosts that have in common what each machine has of its own: copies of a disk, or one under two names.

    What is unique to a machine tells hosts apart in known_hosts, in leases of DHCP, in journals.

    + hosts: what each is
    """
    found = {}
    for host, facts in hosts.items():
        others = [name for name, other in hosts.items() if name != host and facts.own & other.own]
        if others:
            shared = frozenset.union(*(facts.own & hosts[name].own for name in others))
            kinds = sorted({each.partition(" ")[0] for each in shared})
            remedy = " && ".join(_RENEW[kind] for kind in kinds if kind in _RENEW)
            found[host] = Problem(
                host,
                f"has the same {' and '.join(kinds)} as {', '.join(others)}",
                "one of its own: is its disk a copy, or does one machine have two names",
                f"Name a machine once; on a copy run: {remedy}; then reboot it.",
            )
    return found


def _platform(facts: HostFacts, lock: Lock) -> _Found:
    release = lock.release
    system = SUITES[release.suite].system
    if (facts.os, facts.suite) != (system, release.suite):
        yield (
            f"runs {facts.os} {facts.suite}",
            f"{system} {release.suite}",
            "Install that, or build a release for it.",
        )
    if facts.architecture != release.architecture:
        yield f"is {facts.architecture}", release.architecture, "Take it out of the inventory."
    if not facts.root:
        yield (
            "is logged in to without being root",
            "root",
            "Set User root in the ssh_config, or _sudo = True for one with sudo.",
        )
    if not facts.systemd:
        yield "was not started by systemd", "systemd", "Start it as a whole system."


def _disks(facts: HostFacts, settings: SiteSettings, to_load: int, bytes_to_ship: int) -> _Found:
    left = settings.minimum.disk_free_mib * MIB
    store, docker = settings.root, settings.docker.data
    if facts.store_disk.device == facts.docker_disk.device:
        wanted = [(f"{store} and {docker}", facts.store_disk, bytes_to_ship + to_load)]
    else:
        wanted = [(store, facts.store_disk, bytes_to_ship), (docker, facts.docker_disk, to_load)]
    elsewhere = "" if settings.data_folder else "set data_folder to a larger disk, "
    for folder, disk, need in wanted:
        if disk.free < need + left:
            yield (
                f"has {disk.free // MIB} MiB of disk free for {folder}",
                f"{need // MIB} for the release and {left // MIB} left over",
                f"Make room, {elsewhere}or lower minimum.disk_free_mib.",
            )


def _bytes_to_load(facts: HostFacts, lock: Lock, groups: frozenset[str]) -> int:
    """What Docker's own copies of the layers will take."""
    wanted = lock.images_for(groups).values()
    images = (image for image in wanted if image.image_id not in facts.images)
    return sum({layer.digest: layer.size for image in images for layer in image.layers}.values())


def _memory(facts: HostFacts, settings: SiteSettings) -> _Found:
    if facts.memory < settings.minimum.memory_mib * MIB:
        yield (
            f"has {facts.memory // MIB} MiB of memory",
            f"at least {settings.minimum.memory_mib}",
            "Give it more, or lower minimum.memory_mib.",
        )


def room_of(facts: HostRoom, settings: SiteSettings, groups: frozenset[str]) -> Room:
    """Where a host may load models: into its GPUs, if it is of the group gpu and has more than a stand-in.

    + facts: what it is
    + groups: its inventory groups
    """
    return Room(facts.memory, facts.gpus.memory if _has_gpus(settings, groups) else ())


def _has_gpus(settings: SiteSettings, groups: frozenset[str]) -> bool:
    return GPU in groups and not settings.gpu.stand_in


def _models(
    facts: HostFacts, settings: SiteSettings, lock: Lock, groups: frozenset[str], misfit: Misfit | None
) -> _Found:
    if _has_gpus(settings, groups):
        yield from gpu_problems(facts.gpus, lock)
    if misfit:
        yield (
            misfit.what,
            misfit.expected,
            f"It fits with {', or with '.join(misfit.would_fit)}; or take a smaller model.",
        )


def _ports(facts: HostFacts, settings: SiteSettings, release: Release, groups: frozenset[str]) -> _Found:
    shipping = settings.ship_port
    yield from _ship_port(facts, shipping)
    taken: dict[int, tuple[Service, Port]] = {}
    for service in release.services_for(groups):
        for port in release.ports_of(service):
            number = published(settings, port)
            yield from _port(facts, number, service, port.setting)
            if number == shipping:
                yield (
                    f"port {number} is that of {service.name}",
                    "one for shipping alone",
                    "Set another ship_port.",
                )
            other, its = taken.setdefault(number, (service, port))
            if its is not port:
                yield (
                    f"port {number} is that of {other.name} and of {service.name}",
                    "a port for each",
                    f"Set another {port.setting}.",
                )


def _ship_port(facts: HostFacts, port: int) -> _Found:
    """Nothing listens there but while a transfer runs, and then no other begins."""
    owners = {each.process or "an unknown process" for each in facts.listeners if port and each.port == port}
    if owners:
        yield (
            f"port {port} is taken by {' and '.join(sorted(owners))}",
            "a free port for shipping",
            "Stop that, or set another ship_port. A transfer that runs has it, too: let it end.",
        )


def _port(facts: HostFacts, port: int, service: Service, setting: str) -> _Found:
    holders = {container.project: container.name for container in facts.containers if port in container.ports}
    if service.project in holders:
        return
    owners = [f"container {name}" for name in holders.values()] or [
        listener.process or "an unknown process" for listener in facts.listeners if listener.port == port
    ]
    if owners:
        owner = " and ".join(sorted(set(owners)))
        yield (
            f"port {port} is taken by {owner}",
            f"a free port for {service.name}",
            f"Stop that, or set another {setting}." if setting else "Stop that.",
        )


def _clock(facts: HostFacts, settings: SiteSettings, now: datetime) -> _Found:
    skew = facts.clock - now.timestamp()
    if abs(skew) > settings.minimum.clock_skew_s:
        yield (
            f"its clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
            f"at most {settings.minimum.clock_skew_s} s, or certificates and signatures fail",
            "Set it; see to its NTP server.",
        )


def _packages(facts: HostFacts, lock: Lock, groups: frozenset[str]) -> _Found:
    ours = {package.name for package in lock.packages_for(groups)}
    foreign = [name for name in _CONFLICTING if name in facts.packages and name not in ours]
    if foreign:
        yield (
            f"has {', '.join(foreign)} installed",
            "no container engine but the release's own",
            f"Remove: apt-get remove {' '.join(foreign)}",
        )
