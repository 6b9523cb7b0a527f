"""The hosts of a site, as pyinfra reads its inventory, with their settings parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import StringConstraints, TypeAdapter, ValidationError

from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.host import settings
from sealift.host.settings import SettingsError, SiteSettings
from sealift.release.values import Foreign
from sealift.service import in_groups
from sealift.services import FRONT, MONITOR_NAME
from sealift.site.reading import Reading, begin_reading
from sealift.ssh import Ssh


class _Entry(Foreign):
    """A host as pyinfra prints it, its data merged from host and groups."""

    name: Annotated[str, StringConstraints(pattern=r"^\S+$")]
    groups: tuple[str, ...]
    data: dict[str, Any]


_ENTRIES = TypeAdapter(tuple[_Entry, ...])


@dataclass(frozen=True)
class Host:
    """A host: its name in the inventory and in the ssh_config, its groups and settings."""

    name: str
    groups: frozenset[str]
    settings: SiteSettings

    @property
    def asked_as(self) -> tuple[str, ...]:
        """What clients demand of its certificate: its name and, of a front door, its names for them."""
        front = in_groups(self.groups, FRONT.groups)
        return (self.name, *(self.settings.front.names if front else ()))

    @property
    def ssh(self) -> Ssh:
        """How commands are run on it."""
        return Ssh(self.name, self.settings.ssh_config_file, self.settings.sudo)


@dataclass(frozen=True)
class Inventory:
    """A site's hosts. At least one.

    + hosts: all, or those that it is limited to
    + site: all; as `hosts` where empty
    """

    name: str
    path: Path
    hosts: tuple[Host, ...]
    site: tuple[Host, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the hosts."""
        return tuple(host.name for host in self.hosts)

    @property
    def whole(self) -> Inventory:
        """The same with all hosts of the site."""
        return replace(self, hosts=self.site or self.hosts)

    def limited(self, limits: Sequence[str] | None, exclude: Sequence[str] | None = None) -> Inventory:
        """The same with some hosts only.

        + limits: names of hosts or of groups; none is no limit
        + exclude: names of hosts or of groups that are left out

        Raises SealiftError naming those that match nothing, and where no host is left.
        """
        limits, exclude = limits or (), exclude or ()
        unknown = [
            limit for limit in (*limits, *exclude) if not any(_matches(host, limit) for host in self.hosts)
        ]
        if unknown:
            groups = sorted(set().union(*(host.groups for host in self.hosts)))
            raise SealiftError(
                f"{self.path}: has no host or group {', '.join(unknown)}. "
                f"Hosts: {', '.join(self.names)}. Groups: {', '.join(groups)}."
            )
        hosts = tuple(
            host
            for host in self.hosts
            if (not limits or any(_matches(host, limit) for limit in limits))
            and not any(_matches(host, name) for name in exclude)
        )
        if not hosts:
            raise SealiftError(f"{self.path}: no host is left, expected one at least. Exclude fewer.")
        return replace(self, hosts=hosts, site=self.whole.hosts)


def _matches(host: Host, limit: str) -> bool:
    return limit == host.name or limit in host.groups


def load_inventory(name: str) -> Inventory:
    """Read an inventory by `pyinfra INVENTORY debug-inventory --json` and parse every host's settings.

    + name: its path or short name

    Raises SealiftError with every mistake of every host.
    """
    return finish_reading(begin_reading(name))


def finish_reading(reading: Reading) -> Inventory:
    """The inventory of which the reading was begun. Raises SealiftError with every mistake of every host."""
    path, (said, log) = reading.path, reading.process.communicate()
    if reading.process.returncode != 0:
        raise SealiftError(f"{path}: pyinfra cannot read it: {complaint(log)}. Correct it.")
    return parse_inventory(path, parse_json(said, f"{path}: what pyinfra prints of it"))


def parse_inventory(path: Path, raw: Any) -> Inventory:
    """Parse what `debug-inventory --json` prints.

    + raw: `[{"name": ..., "groups": [...], "data": {...}}, ...]`, data merged from host and groups

    Raises SealiftError with every mistake of every host.
    """
    hosts: list[Host] = []
    mistakes: list[str] = []
    for entry in _entries(path, raw):
        try:
            parsed = settings.parse(entry.name, entry.data)
        except SettingsError as error:
            mistakes.append(str(error))
        else:
            hosts.append(Host(entry.name, frozenset(entry.groups), parsed))
            if MONITOR_NAME in map(str.lower, (entry.name, *parsed.front.names)):
                mistakes.append(
                    f"{entry.name}: is called {MONITOR_NAME}, or its front door is, expected another name: "
                    "figures of all hosts are shown to a certificate of that name. Rename it."
                )
    if mistakes:
        raise SealiftError("\n".join(mistakes))
    if not hosts:
        raise SealiftError(f"{path}: has no hosts. Is what it describes up, and are the lists not empty?")
    return Inventory(path.stem, path, tuple(hosts))


def _entries(path: Path, raw: Any) -> tuple[_Entry, ...]:
    try:
        return _ENTRIES.validate_python(raw)
    except ValidationError as error:
        place = one_line(".".join(map(str, error.errors()[0]["loc"])))
        raise SealiftError(
            f"{path}: what pyinfra prints of it is no list of hosts ({place}). Is a host's name a word?"
        ) from None


def complaint(log: bytes) -> str:
    """What pyinfra's log says went wrong: its last line that is not about its progress."""
    lines = [line.strip() for line in log.decode(errors="replace").splitlines()]
    said = [line for line in lines if line and not line.startswith("-->")]
    return said[-1].rstrip(".") if said else "it does not say why"
