"""A generation: everything that is configuration on a host, rendered from settings, lock and secrets.

It is named by its content, so that equal input gives the same folder, and an edit on the host shows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sealift.depot.needed import needed_blobs
from sealift.files import canonical_json
from sealift.host.behind import Behind
from sealift.host.fleet import ALONE, Fleet
from sealift.host.given import Served, SiteFiles
from sealift.host.inputs import inputs_of
from sealift.host.record import record_files
from sealift.host.settings import SiteSettings, memory_limit_mib, published
from sealift.release.locked import Lock
from sealift.release.roles import Answers
from sealift.service import Service
from sealift.services import ALLOWED, BUDGET, CLUSTERS, FRONT, HOSTS, KEYS, LIMITS, SERVICES

SPEC_LABEL = "io.sealift.spec"  # on each container: digest of the configuration it was made from
COMPOSE = "compose.yaml"
# What Docker's client sets in containers that it makes, out of `proxies` of root's ~/.docker/config.json.
# Source: `proxyConfig` in `cli/config/configfile/file.go` of github.com/docker/cli.
_PROXIES = tuple(
    name for kind in ("http", "https", "ftp", "all") for name in (f"{kind.upper()}_PROXY", f"{kind}_proxy")
)
CLIENTS_FILES = (ALLOWED, BUDGET, CLUSTERS, KEYS, LIMITS)  # live files about clients
LIVE = "live"  # folder of a service's live files, in its own
_VERSION = re.compile(rb'^version_info: "([0-9a-f]{16})"', re.MULTILINE)


@dataclass(frozen=True)
class RenderedFile:
    """A file of a generation. Its content may be secret, so it is left out of the representation."""

    content: bytes = field(repr=False)
    mode: int = 0o644
    group: int = 0

    @property
    def sha256(self) -> str:
        """Hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Generation:
    """The configuration of a host.

    + id: names its folder
    + files: by path below that folder
    + specs: by service, digest of all that its container is made from
    """

    id: str
    files: Mapping[str, RenderedFile]
    specs: Mapping[str, str]

    def mounted(self, service: Service) -> dict[str, str]:
        """SHA-256 of the files that a service's container sees, by their path there."""
        found = {mount.target: f"{service.name}/{mount.source}" for mount in service.mounts}
        if service.live:
            found |= {f"{service.live.target}/{name}": path for name, path in _live(service).items()}
        return {target: self.files[path].sha256 for target, path in found.items() if path in self.files}

    def live(self, service: Service) -> dict[str, RenderedFile]:
        """A service's live files, by name."""
        return {name: self.files[path] for name, path in _live(service).items()}

    def versions(self, service: Service) -> dict[str, str]:
        """Versions of a service's live files, by its names for them: what it says once it has taken them."""
        names = service.live.versions if service.live else {}
        return {names[name]: version_of(file.content) for name, file in self.live(service).items()}


def render_generation(
    settings: SiteSettings,
    lock: Lock,
    bundle: str,
    groups: frozenset[str],
    answers: Answers,
    site_files: SiteFiles,
    templates: Path,
    fleet: Fleet = ALONE,
    host: str = "",
) -> Generation:
    """Render the configuration of a host.

    + settings: in force on the host
    + lock: what its release pins
    + bundle: digest of the bundle that brought the lock
    + groups: the host's inventory groups
    + answers: which models answer the roles there
    + templates: folder that has a folder of templates for each service
    + fleet: what it has to know of others
    + host: its name in the inventory
    """
    render = _Renderer(templates)
    release = {"release": lock.release.reference, "bundle": bundle, "roles": dict(answers)}
    blobs = "".join(f"{blob.hex}\n" for blob in sorted(needed_blobs(lock, groups), key=lambda blob: blob.hex))
    files = {
        "release.json": RenderedFile(canonical_json(release, indent=2)),
        "blobs": RenderedFile(blobs.encode()),  # what going back to this generation needs in the host store
    }
    served = Served(lock, bundle, host, groups, answers, fleet)
    specs = {}
    for service in lock.release.services_for(groups):
        found, spec = _render_service(render, service, settings, served, site_files)
        files |= {f"{service.name}/{name}": file for name, file in found.items()}
        specs[service.name] = spec
    record = record_files(settings, lock, bundle, groups, answers, specs)
    files |= {name: RenderedFile(content) for name, content in record.items()}
    return Generation(id_of(_identities(files)), files, specs)


def _render_service(
    render: _Renderer,
    service: Service,
    settings: SiteSettings,
    served: Served,
    site_files: SiteFiles,
) -> tuple[dict[str, RenderedFile], str]:
    """The files of a service's folder, and the digest of all that its container is made from.

    That digest stands in the Compose file itself, which is rendered without it first. Of live files it has
    nothing: the container goes on with new ones.
    """
    values = {
        **_common(service, served, settings),
        **inputs_of(service, settings, served, site_files).values,
    }
    mounts = {mount.source: mount for mount in service.mounts}
    contents = {
        name: render(f"{service.name}/{name}.j2", values)
        for name in render.names(service.name)
        if name != COMPOSE
    }
    contents |= {
        name: render.plain(f"{service.name}/{name}") for name in service.files if name not in contents
    }
    files = {
        name: RenderedFile(content, mounts[name].mode, mounts[name].group)
        if name in mounts
        else RenderedFile(content)
        for name, content in contents.items()
    }
    compose = f"{service.name}/{COMPOSE}.j2"
    blank = RenderedFile(render(compose, {**values, "spec": ""}))
    spec = f"sha256:{_digest(_identities({COMPOSE: blank, **files}))}"
    files[COMPOSE] = RenderedFile(render(compose, {**values, "spec": spec}))
    live = {f"{LIVE}/{name}": _live_file(render, service, name, values) for name in _live(service)}
    return {**files, **live}, spec


def clients_files(values: Mapping[str, object], templates: Path) -> dict[str, RenderedFile]:
    """The live files about clients, by path below a generation: their keys, what they may ask for, and take.

    + values: from `sealift.host.client_inputs.clients_values`
    + templates: as for a generation
    """
    render = _Renderer(templates)
    return {
        live_path(service, name): _live_file(render, service, name, values)
        for service in SERVICES
        for name in CLIENTS_FILES
        if service.live and name in service.live.versions
    }


def hosts_files(fleet: tuple[Behind, ...], templates: Path) -> dict[str, RenderedFile]:
    """The live file of the hosts behind a front door, by path below a generation."""
    return {live_path(FRONT, HOSTS): _live_file(_Renderer(templates), FRONT, HOSTS, {"fleet": fleet})}


def live_path(service: Service, name: str) -> str:
    """Where a live file stands in a generation."""
    return f"{service.name}/{LIVE}/{name}"


def _live(service: Service) -> dict[str, str]:
    """Where a service's live files stand in a generation, by their names."""
    names = service.live.versions if service.live else ()
    return {name: live_path(service, name) for name in names}


def _live_file(render: _Renderer, service: Service, name: str, values: Mapping[str, object]) -> RenderedFile:
    """A live file. Its version is the digest of what it is with an empty one."""
    template = f"{service.name}/{LIVE}/{name}.j2"
    blank = render(template, {**values, "version": ""})
    version = hashlib.sha256(blank).hexdigest()[:16]
    return RenderedFile(render(template, {**values, "version": version}), 0o600)


def version_of(content: bytes) -> str:
    """The version that a live file says it has."""
    found = _VERSION.search(content)
    if found is None:  # its template is ours
        raise AssertionError
    return found[1].decode()


def _common(service: Service, served: Served, settings: SiteSettings) -> dict[str, object]:
    """What every service's templates get by name."""
    release = served.lock.release
    outer = service.outer(each.name for each in served.services)
    return {
        "project": service.project,
        "service": service.name,
        "image": served.lock.images[service.image_name].name,
        "spec_label": SPEC_LABEL,
        "ports": [(published(settings, port), port.inside) for port in release.ports_of(service)],
        "reaches_out": bool(release.ports_of(service)) or service.reaches_out,
        "mounts": service.binds,
        "networks": service.networks,
        "outer": "" if outer == service.project else f"{outer}_outer",
        "memory_limit_mib": memory_limit_mib(settings, service),
        "proxies": _PROXIES,
    }


def id_of(files: Mapping[str, tuple[int, str]]) -> str:
    """The id of a generation that has these files.

    + files: by path, mode and SHA-256
    """
    return _digest(files)[:12]


def _digest(files: Mapping[str, tuple[int, str]]) -> str:
    listing = [[path, mode, sha256] for path, (mode, sha256) in sorted(files.items())]
    return hashlib.sha256(canonical_json(listing)).hexdigest()


def _identities(files: Mapping[str, RenderedFile]) -> dict[str, tuple[int, str]]:
    return {path: (file.mode, file.sha256) for path, file in files.items()}


@lru_cache
def _environment(templates: Path) -> Environment:
    """One for all hosts: compiling the templates takes ten times as long as rendering them."""
    return Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, not HTML: strings go through `tojson`
    )


class _Renderer:
    """Templates with named inputs: a name that is missing is an error, never an empty string."""

    def __init__(self, templates: Path) -> None:
        self._templates = templates
        self._environment = _environment(templates)

    def names(self, folder: str) -> list[str]:
        """The files that a folder has templates of."""
        return sorted(path.name.removesuffix(".j2") for path in (self._templates / folder).glob("*.j2"))

    def plain(self, path: str) -> bytes:
        """A file as it is."""
        return (self._templates / path).read_bytes()

    def __call__(self, template: str, inputs: Mapping[str, object]) -> bytes:
        return self._environment.get_template(template).render(inputs).encode()
