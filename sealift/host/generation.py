"""A generation: everything that is configuration on a host, rendered from settings, lock and secrets.

It is named by its content, so that equal input gives the same folder, and an edit on the host shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sealift.depot.needed import needed_blobs
from sealift.files import canonical_json
from sealift.host.inputs import SiteFiles, inputs_of
from sealift.host.settings import SiteSettings, memory_limit_mib, published
from sealift.release.locked import Lock
from sealift.release.roles import Answers
from sealift.services import Service

SPEC_LABEL = "io.sealift.spec"  # on each container: digest of the configuration it was made from
COMPOSE = "compose.yaml"
# What Docker's client sets in containers that it makes, out of `proxies` of root's ~/.docker/config.json.
# Source: `proxyConfig` in `cli/config/configfile/file.go` of github.com/docker/cli.
_PROXIES = tuple(
    name for kind in ("http", "https", "ftp", "all") for name in (f"{kind.upper()}_PROXY", f"{kind}_proxy")
)


@dataclass(frozen=True)
class RenderedFile:
    """A file of a generation. Its content may be secret, so it is left out of the representation."""

    content: bytes = field(repr=False)
    mode: int = 0o644

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
        found = ((mount, self.files.get(f"{service.name}/{mount.source}")) for mount in service.mounts)
        return {mount.target: file.sha256 for mount, file in found if file}


def render_generation(
    settings: SiteSettings,
    lock: Lock,
    bundle: str,
    groups: frozenset[str],
    answers: Answers,
    site_files: SiteFiles,
    templates: Path,
) -> Generation:
    """Render the configuration of a host.

    + settings: in force on the host
    + lock: what its release pins
    + bundle: digest of the bundle that brought the lock
    + groups: the host's inventory groups
    + answers: which models answer the roles there
    + templates: folder that has a folder of templates for each service
    """
    render = _Renderer(templates)
    release = {"release": lock.release.reference, "bundle": bundle, "roles": dict(answers)}
    blobs = "".join(f"{blob.hex}\n" for blob in sorted(needed_blobs(lock, groups), key=lambda blob: blob.hex))
    files = {
        "release.json": RenderedFile(canonical_json(release, indent=2)),
        "blobs": RenderedFile(blobs.encode()),  # what going back to this generation needs in the host store
    }
    specs = {}
    for service in lock.release.services_for(groups):
        found, spec = _render_service(
            render, service, lock.images[service.name].name, settings, groups, answers, site_files
        )
        files |= {f"{service.name}/{name}": file for name, file in found.items()}
        specs[service.name] = spec
    return Generation(_digest(files)[:12], files, specs)


def _render_service(
    render: _Renderer,
    service: Service,
    image: str,
    settings: SiteSettings,
    groups: frozenset[str],
    answers: Answers,
    site_files: SiteFiles,
) -> tuple[dict[str, RenderedFile], str]:
    """The files of a service's folder, and the digest of all that its container is made from.

    That digest stands in the Compose file itself, which is rendered without it first.
    """
    inputs = inputs_of(service, settings, groups, answers, site_files)
    values = {**_common(service, image, settings), **inputs.values}
    contents = dict(inputs.files)
    for name in render.names(service.name):
        if name != COMPOSE:
            contents[name] = render(f"{service.name}/{name}.j2", values)
    modes = {mount.source: 0o600 for mount in service.mounts if mount.private}
    files = {name: RenderedFile(content, modes.get(name, 0o644)) for name, content in contents.items()}
    compose = f"{service.name}/{COMPOSE}.j2"
    blank = RenderedFile(render(compose, {**values, "spec": ""}))
    spec = f"sha256:{_digest({COMPOSE: blank, **files})}"
    files[COMPOSE] = RenderedFile(render(compose, {**values, "spec": spec}))
    return files, spec


def _common(service: Service, image: str, settings: SiteSettings) -> dict[str, object]:
    """What every service's templates get by name."""
    return {
        "project": service.project,
        "service": service.name,
        "image": image,
        "spec_label": SPEC_LABEL,
        "ports": [(published(settings, service, port), port.inside) for port in service.ports],
        "mounts": [(service.source(mount), mount.target) for mount in service.mounts],
        "networks": service.networks,
        "memory_limit_mib": memory_limit_mib(settings, service),
        "proxies": _PROXIES,
    }


def _digest(files: Mapping[str, RenderedFile]) -> str:
    listing = [[path, file.mode, file.sha256] for path, file in sorted(files.items())]
    return hashlib.sha256(canonical_json(listing)).hexdigest()


class _Renderer:
    """Templates with named inputs: a name that is missing is an error, never an empty string."""

    def __init__(self, templates: Path) -> None:
        self._templates = templates
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,  # noqa: S701 - YAML, not HTML: strings go through `tojson`
        )

    def names(self, folder: str) -> list[str]:
        """The files that a folder has templates of."""
        return sorted(path.name.removesuffix(".j2") for path in (self._templates / folder).glob("*.j2"))

    def __call__(self, template: str, inputs: Mapping[str, object]) -> bytes:
        return self._environment.get_template(template).render(inputs).encode()
