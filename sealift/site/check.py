"""Everything that is wrong with a site's inventory and can be known without touching a host."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.host.promises import idle_objectives
from sealift.release.age import expires_soon
from sealift.release.types import Release
from sealift.site.authority import key_problems
from sealift.site.certificate_check import certificate_problems, certificate_warnings
from sealift.site.clients import client_warnings
from sealift.site.group_check import idle_files, idle_groups
from sealift.site.inventory import Host, Inventory, load_inventory
from sealift.site.promotion_check import promotion_problems
from sealift.site.rule_check import rule_problems
from sealift.site.secrets import open_secrets
from sealift.site.tables import assigned_twice, replaced_tables
from sealift.site.watching import monitor_files, watch_problems


@dataclass(frozen=True)
class Checked:
    """What was found.

    + problems: what keeps hosts from their release, a line each
    + warnings: what should be looked at
    """

    hosts: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def site_problems(host: Host, release: Release | None, now: datetime) -> Iterator[str]:
    """What is wrong with a host's secrets and certificates, a line each, with the host's name in front.

    Preflight tells the same, of all hosts, before anything is shipped to any.

    + release: that it is to run, where it is known
    """
    settings = host.settings
    try:
        open_secrets(settings.secrets, settings.identity).first_key(now.date())
    except SealiftError as error:
        yield from (f"{host.name}: {line}" for line in str(error).splitlines())
    found = (line for name in host.asked_as for line in certificate_problems(name, settings.gateway, now))
    more = watch_problems(host, release, now) if release else ()
    yield from (f"{host.name}: {line}" for line in dict.fromkeys((*found, *more)))


def check_site(name: str, now: datetime) -> Checked:
    """Look an inventory over.

    + name: its path or short name

    Raises SealiftError where it cannot be read at all; every mistake in its settings is a line of that.
    """
    inventory = load_inventory(name)
    problems: list[str] = []
    warnings = [*replaced_tables(inventory), *assigned_twice(inventory), *idle_files(inventory)]
    releases, missing = _releases(inventory)
    for host in inventory.hosts:
        problems += site_problems(host, releases.get((host.settings.depot, host.settings.release)), now)
        problems += _ssh_problems(host)
    if not missing:  # one of them may know any group
        warnings += idle_groups(inventory, releases.values())
    warnings += site_warnings(inventory, now)
    warnings += [line for release in releases.values() for line in expires_soon(release, now)]
    warnings += [
        f"{host.name}: {line}."
        for host in inventory.hosts
        if (release := releases.get((host.settings.depot, host.settings.release)))
        for line in idle_objectives(host.settings, release)
    ]
    for ca in {host.settings.gateway.ca: None for host in inventory.hosts}:
        problems += key_problems(ca)
    for promotion in dict.fromkeys(host.settings.promotion for host in inventory.hosts):
        problems += promotion_problems(promotion)
    problems += missing
    wrong, not_judged = rule_problems([host for host in inventory.hosts if host.settings.monitoring.rules])
    return Checked(
        len(inventory.hosts),
        tuple(dict.fromkeys((*problems, *wrong))),
        tuple(dict.fromkeys((*warnings, *not_judged))),
    )


def site_warnings(inventory: Inventory, now: datetime) -> tuple[str, ...]:
    """What runs out soon: certificates of gateways and keys of clients, a line each."""
    hosts = inventory.hosts
    files = (files for host in hosts for files in (host.settings.gateway, monitor_files(host)) if files)
    lines = [line for each in files for line in certificate_warnings(each, now)]
    lines += [line for host in hosts for line in _client_warnings(inventory.name, host, now)]
    return tuple(dict.fromkeys(lines))


def _client_warnings(inventory: str, host: Host, now: datetime) -> Iterator[str]:
    settings = host.settings
    try:
        clients = open_secrets(settings.secrets, settings.identity).api_keys
    except SealiftError:
        return  # told as a problem
    yield from client_warnings(inventory, settings.secrets, clients, now.date())


def _releases(inventory: Inventory) -> tuple[Mapping[tuple[Path, str], Release], list[str]]:
    """The releases of hosts by depot and name, and what is wrong with those that cannot be had."""
    found, missing = {}, []
    for depot, release in sorted({(host.settings.depot, host.settings.release) for host in inventory.hosts}):
        try:
            found[depot, release] = Depot(depot).resolve(release).lock.release
        except SealiftError as error:
            missing.append(str(error))
    return found, missing


def _ssh_problems(host: Host) -> Iterator[str]:
    """What ssh(1) itself makes of the inventory's ssh_config for a host."""
    config = host.settings.ssh_config_file
    ran = subprocess.run(["ssh", "-G", "-F", str(config), "--", host.name], capture_output=True, check=False)
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").strip().splitlines()
        yield f"{config}: ssh cannot read it: {said[-1] if said else 'silently'}. Correct it."
        return
    options: dict[str, list[str]] = {}
    for line in ran.stdout.decode(errors="replace").splitlines():
        key, _, value = line.partition(" ")
        options.setdefault(key, []).append(value)
    if options.get("stricthostkeychecking", [""])[0] not in ("yes", "true"):
        yield (
            f"{host.name}: {config} lets ssh trust a host key that nobody has checked, expected "
            "StrictHostKeyChecking yes. Add it below Host *."
        )
    keys = [Path(path).expanduser() for path in options.get("identityfile", [])]
    if not any(path.is_file() for path in keys):
        listed = ", ".join(map(str, keys)) or "none"
        yield (
            f"{host.name}: there is no key to log in with, expected one at {listed}. "
            "Make it: ssh-keygen -t ed25519"
        )
    address, port = options["hostname"][0], options["port"][0]
    known = options.get("hostkeyalias", [address if port == "22" else f"[{address}]:{port}"])[0]
    files = [Path(path).expanduser() for path in options.get("userknownhostsfile", [""])[0].split()]
    if not any(_is_known(known, file) for file in files):
        yield (
            f"{host.name}: its SSH key is not known, expected a line for {known} in "
            f"{', '.join(map(str, files))}. Read it at the host's console, "
            "/etc/ssh/ssh_host_ed25519_key.pub, and add it."
        )


def _is_known(host: str, file: Path) -> bool:
    if not file.is_file():
        return False
    found = subprocess.run(["ssh-keygen", "-F", host, "-f", str(file)], capture_output=True, check=False)
    return found.returncode == 0
