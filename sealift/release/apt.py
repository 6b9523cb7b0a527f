"""OS packages: what a host needs beyond what it has, worked out by apt itself.

The closure is computed against the stated minimal host, never the build machine: apt is shown a host that has
the essential packages and `packages.base`, then one that has `packages.all` too. The control node is another
machine: it has the essential packages and `control.base`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pydantic import ValidationError

from sealift import mistakes
from sealift.errors import SealiftError
from sealift.release.apt_config import IsolatedApt
from sealift.release.apt_mirror import Mirrors, debian_mirrors
from sealift.release.types import CONTROL_FIELDS, AptSource, LockedPackage, PackageGroup, Release
from sealift.scratch import scratch

DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# `'URI' NAME SIZE HASH`. Source: apt-get(8), --print-uris.
_URI_LINE = re.compile(r"'([^']+)' (\S+)_(\S+)_(\S+)\.deb (\d+) (\S*)")


@dataclass(frozen=True)
class _Repository:
    source: str
    uri: str  # ends in /
    suite: str
    components: tuple[str, ...]
    key: str

    def line(self) -> str:
        components = "" if self.suite.endswith("/") else " ".join(self.components)
        return f"deb [arch=amd64 signed-by={self.key}] {self.uri} {self.suite} {components}\n"


def lock_packages(release: Release, sources: Path) -> tuple[LockedPackage, ...]:
    """Pin the packages of every group with all they depend on, sorted by name.

    + sources: the folder that sources with a `path` are relative to

    Raises SealiftError in apt's words where a package or repository is not there or not signed.
    """
    with scratch("apt") as folder:
        apt = IsolatedApt.make(folder)
        repositories = tuple(_repositories(release, sources, apt.root))
        (apt.root / "sources.list").write_text("".join(map(_Repository.line, repositories)))
        apt.run("apt-get", "update", "--error-on=any", "-q")
        wanted = release.packages
        _installs(apt, repositories, ("?essential", *wanted.base), None)
        every_host = _installs(apt, repositories, wanted.all, "all")
        gpu_hosts = _installs(apt, repositories, wanted.gpu, "gpu")
        return _merged((*every_host, *gpu_hosts, *_control_node(apt, repositories, release)))


def _control_node(
    apt: IsolatedApt, repositories: tuple[_Repository, ...], release: Release
) -> list[LockedPackage]:
    if release.control is None:
        return []
    (apt.root / "status").write_text("")
    _installs(apt, repositories, ("?essential", *release.control.base), None)
    return _installs(apt, repositories, release.control.packages, "control")


def _merged(packages: tuple[LockedPackage, ...]) -> tuple[LockedPackage, ...]:
    """Each package once with all its groups, sorted by name."""
    found: dict[tuple[str, str], LockedPackage] = {}
    for package in packages:
        key = (package.name, package.version)
        before = found[key].groups if key in found else ()
        found[key] = package.model_copy(update={"groups": (*before, *package.groups)})
    return tuple(package for _, package in sorted(found.items()))


def _repositories(release: Release, sources: Path, root: Path) -> Iterator[_Repository]:
    for name, source in sorted(release.packages.sources.items()):
        if source.path is None:
            yield from _debian(name, source, release.suite, debian_mirrors())
        else:
            yield from _local(name, source, sources, root)


def _debian(name: str, source: AptSource, suite: str, mirrors: Mirrors) -> Iterator[_Repository]:
    for wanted in source.suites or (suite, f"{suite}-updates", f"{suite}-security"):
        uri = mirrors.security if wanted.endswith("-security") else mirrors.main
        yield _Repository(name, uri, wanted, source.components, DEBIAN_KEYRING)


def _local(name: str, source: AptSource, sources: Path, root: Path) -> Iterator[_Repository]:
    """A repository in a folder, through links without blanks: apt's lines know no quotes."""
    if source.path is None or source.key is None:
        raise SealiftError(f"packages.sources.{name}: needs path and key. Add them to the release file.")
    folder, key = (sources / source.path).resolve(), (sources / source.key).resolve()
    for path in (folder, key):
        if not path.exists() or not path.is_relative_to(sources.resolve()):
            raise SealiftError(
                f"{path}: not found below {sources}, named by packages.sources.{name}. Make it."
            )
    link, key_link = root / f"repository-{name}", root / f"key-{name}.asc"
    link.symlink_to(folder)
    key_link.symlink_to(key)
    for suite in source.suites:
        yield _Repository(name, f"file:{link}/", suite, source.components, str(key_link))


def _installs(
    apt: IsolatedApt,
    repositories: tuple[_Repository, ...],
    wanted: tuple[str, ...],
    group: PackageGroup | None,
) -> list[LockedPackage]:
    """What installing `wanted` adds to the host that apt knows; from then on that host has it."""
    if not wanted:
        return []
    output = apt.run("apt-get", "install", "--print-uris", "-qq", "--yes", *wanted)
    lines = [match.groups() for match in map(_URI_LINE.match, output.splitlines()) if match]
    stanzas = _stanzas(apt, [f"{name}={unquote(version)}" for _, name, version, *_ in lines])
    found = []
    for uri, name, version, *_ in lines:
        source, path = _place(uri, repositories)
        found.append(_locked(stanzas, (name, unquote(version), path), source, group))
    _remember(apt, stanzas, found)
    return found


def _place(uri: str, repositories: tuple[_Repository, ...]) -> tuple[str, str]:
    """Source and path below it. Debian and its security archive are one source: their paths differ."""
    for repository in repositories:
        if uri.startswith(repository.uri):
            return repository.source, posixpath.normpath(unquote(uri.removeprefix(repository.uri)))
    raise SealiftError(f"{uri}: is in none of the release's repositories. Report this as a bug.")


_Stanzas = dict[tuple[str, str, str], dict[str, str]]


def _stanzas(apt: IsolatedApt, wanted: list[str]) -> _Stanzas:
    """Stanzas of the indexes by name, version and path."""
    found: _Stanzas = {}
    for text in (apt.run("apt-cache", "show", *wanted) if wanted else "").split("\n\n"):
        fields = _fields(text)
        if "Filename" in fields:
            path = posixpath.normpath(fields["Filename"])
            found[fields["Package"], fields["Version"], path] = fields
    return found


def _fields(stanza: str) -> dict[str, str]:
    """A stanza's fields, first lines only: none of those that resolve goes on over lines."""
    lines = (line for line in stanza.splitlines() if line[:1].strip())
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _locked(
    stanzas: _Stanzas, key: tuple[str, str, str], source: str, group: PackageGroup | None
) -> LockedPackage:
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
                "control": {field: fields[field] for field in CONTROL_FIELDS if field in fields},
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
            status.write("".join(f"{key}: {package.control[key]}\n" for key in package.control) + "\n")
