"""OS packages: what a host needs beyond what it has, worked out by apt itself.

The closure is computed against the stated minimal host, never the build machine: apt is shown a host that has
the essential packages and `packages.base`, then one that has `packages.all` too. The control node is another
machine: it has the essential packages and `control.base`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from urllib.parse import unquote

from pydantic import ValidationError

from sealift import mistakes
from sealift.errors import SealiftError
from sealift.release.locked import LockedPackage
from sealift.release.types import Release
from sealift.release.values import CONTROL, DEB_FIELDS
from sealift.scratch import scratch
from sealift.sources.apt_config import IsolatedApt
from sealift.sources.apt_sources import Repository, blame, place, repositories
from sealift.sources.source import BuildMachine

_REMEDY = (
    "Check the key, url and suites of that source, and this machine's mirrors and proxy; "
    "where a repository is wrong itself, its vendor must mend it."
)
# One line per index that was fetched: `URI SUITE COMPONENT`. Source: apt-get(8), indextargets.
_INDEXES = (
    *("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"),
    "Created-By: Packages",
)
# `'URI' NAME SIZE HASH`. Source: apt-get(8), --print-uris.
_URI_LINE = re.compile(r"'([^']+)' (\S+)_(\S+)_(\S+)\.deb (\d+) (\S*)")


def lock_packages(
    release: Release, machine: BuildMachine, keys: Mapping[str, bytes]
) -> tuple[LockedPackage, ...]:
    """Pin the packages of every group with all they depend on, sorted by name.

    + machine: where repositories are fetched from
    + keys: of repositories, from `read_keys`

    Raises SealiftError in apt's words where a package or repository is not there or not signed.
    """
    with scratch("apt") as folder:
        apt = IsolatedApt.make(folder)
        known = repositories(release, machine, keys, apt.root)
        (apt.root / "sources.list").write_text("".join(map(Repository.line, known)))
        _update(apt, known)
        wanted = release.packages
        _installs(apt, known, ("?essential", *wanted.base), None)
        every_host = _installs(apt, known, wanted.all, "all")
        of_groups = _of_groups(apt, known, wanted.of_groups)
        return _merged((*every_host, *of_groups, *_control_node(apt, known, release)))


def _of_groups(
    apt: IsolatedApt, known: tuple[Repository, ...], wanted: Mapping[str, tuple[str, ...]]
) -> list[LockedPackage]:
    """What each group adds to a host that has what all have, and nothing of another group."""
    status = apt.root / "status"
    every_host, found = status.read_text(), []
    for group, packages in wanted.items():
        status.write_text(every_host)
        found += _installs(apt, known, packages, group)
    return found


def _control_node(apt: IsolatedApt, known: tuple[Repository, ...], release: Release) -> list[LockedPackage]:
    if release.control is None:
        return []
    (apt.root / "status").write_text("")
    _installs(apt, known, ("?essential", *release.control.base), None)
    return _installs(apt, known, release.control.packages, CONTROL)


def _merged(packages: tuple[LockedPackage, ...]) -> tuple[LockedPackage, ...]:
    """Each package once with all its groups, sorted by name."""
    found: dict[tuple[str, str], LockedPackage] = {}
    for package in packages:
        key = (package.name, package.version)
        before = found[key].groups if key in found else ()
        found[key] = package.model_copy(update={"groups": (*before, *package.groups)})
    return tuple(package for _, package in sorted(found.items()))


def _update(apt: IsolatedApt, known: tuple[Repository, ...]) -> None:
    try:
        apt.run("apt-get", "update", "--error-on=any", "-q")
    except SealiftError as error:
        raise SealiftError(f"{blame(str(error), known)}\n{_REMEDY}") from None
    found = {tuple(line.split(" ")) for line in apt.run(*_INDEXES).splitlines()}
    missing = [
        f"packages.sources.{repository.source}: {repository.suite} has no packages in {component}, "
        "expected an index of them. Correct suites and components."
        for repository in known
        if not repository.is_debian and not repository.suite.endswith("/")
        for component in repository.components
        if (repository.uri, repository.suite, component) not in found
    ]
    if missing:  # of a component that is not there, apt only warns
        raise SealiftError("\n".join(missing))


def _installs(
    apt: IsolatedApt,
    known: tuple[Repository, ...],
    wanted: tuple[str, ...],
    group: str | None,
) -> list[LockedPackage]:
    """What installing `wanted` adds to the host that apt knows; from then on that host has it."""
    if not wanted:
        return []
    output = apt.run("apt-get", "install", "--print-uris", "-qq", "--yes", *wanted)
    lines = [match.groups() for match in map(_URI_LINE.match, output.splitlines()) if match]
    stanzas = _stanzas(apt, [f"{name}={unquote(version)}" for _, name, version, *_ in lines])
    found = []
    for uri, name, version, *_ in lines:
        source, path = place(uri, known)
        found.append(_locked(stanzas, (name, unquote(version), path), source, group))
    _remember(apt, stanzas, found)
    return found


_Stanzas = dict[tuple[str, str, str], dict[str, str]]


def _stanzas(apt: IsolatedApt, wanted: list[str]) -> _Stanzas:
    """Stanzas of the indexes by name, version and path."""
    found: _Stanzas = {}
    for text in (apt.run("apt-cache", "show", *wanted) if wanted else "").split("\n\n"):
        fields = _fields(text)
        if {"Package", "Version", "Filename"} <= fields.keys():
            path = posixpath.normpath(fields["Filename"])
            found[fields["Package"], fields["Version"], path] = fields
    return found


def _fields(stanza: str) -> dict[str, str]:
    """A stanza's fields, first lines only: none of those that resolve goes on over lines."""
    lines = (line for line in stanza.splitlines() if line[:1].strip())
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _locked(stanzas: _Stanzas, key: tuple[str, str, str], source: str, group: str | None) -> LockedPackage:
    name, version, path = key
    fields = stanzas.get(key)
    if fields is None or "SHA256" not in fields:
        raise SealiftError(f"{name} {version}: its index gives no SHA256 for {path}. Mend the repository.")
    try:
        return LockedPackage.model_validate(
            {
                "name": name,
                "version": version,
                "architecture": fields.get("Architecture"),
                "source": source,
                "path": path,
                "blob": {"digest": f"sha256:{fields['SHA256']}", "size": fields.get("Size")},
                "groups": (group,) if group else (),
                "fields": {field: fields[field] for field in DEB_FIELDS if field in fields},
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise SealiftError(
            f"{name} {version}: its index gives a {mistakes.place(first)} of {first['input']!r}. "
            "Mend the repository."
        ) from None


def _remember(apt: IsolatedApt, stanzas: _Stanzas, packages: list[LockedPackage]) -> None:
    with (apt.root / "status").open("a") as status:
        for package in packages:
            fields = stanzas[package.name, package.version, package.path]
            status.write("".join(f"{key}: {fields[key]}\n" for key in ("Package", "Version", "Architecture")))
            status.write("Status: install ok installed\n")
            status.write("".join(f"{key}: {package.fields[key]}\n" for key in package.fields) + "\n")
