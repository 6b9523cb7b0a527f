"""What one host is to be, as one value: tasks make it so, plan and status compare, acceptance expects it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sealift.blob import Blob
from sealift.host.fleet import ALONE, Fleet
from sealift.host.generation import Generation, render_generation
from sealift.host.given import SiteFiles
from sealift.host.settings import SiteSettings, in_force
from sealift.release.locked import Lock, LockedImage, LockedPackage
from sealift.release.locked_model import LockedModel
from sealift.release.role import Role
from sealift.release.roles import Answers, Named, placed_models, placed_names
from sealift.release.types import File
from sealift.service import Port, Service
from sealift.services import OLLAMA, SERVICES

# Where the deployment code has its templates: this project's own folder.
TEMPLATES = Path(__file__).parents[2] / "templates"


@dataclass(frozen=True)
class Wanted:
    """What a host is to be.

    + host: its name in the inventory
    + groups: its groups there
    + settings: in force: what the inventory says, and what the roles that it serves ask for
    + bundle: digest of the bundle that brought the lock
    + answers: which model answers each role that it serves
    + generation: its configuration, rendered
    """

    host: str
    groups: frozenset[str]
    settings: SiteSettings
    lock: Lock
    bundle: str
    answers: Answers
    generation: Generation

    @property
    def release(self) -> str:
        """Its release as `NAME:VERSION`."""
        return self.lock.release.reference

    @property
    def services(self) -> tuple[Service, ...]:
        """What it runs, in the order in which it starts."""
        return self.lock.release.services_for(self.groups)

    @property
    def left_behind(self) -> tuple[str, ...]:
        """What services leave that it does not run."""
        gone = (service for service in SERVICES if service not in self.services)
        return tuple(path for service in gone for path in service.leaves)

    def ports(self, service: Service) -> tuple[Port, ...]:
        """Those that a service publishes there."""
        return self.lock.release.ports_of(service)

    @property
    def images(self) -> dict[str, LockedImage]:
        """Its images, by service."""
        return self.lock.images_for(self.groups)

    @property
    def roles(self) -> dict[str, Role]:
        """The roles that it serves."""
        return self.lock.release.roles_for(self.groups)

    @property
    def models(self) -> dict[str, LockedModel]:
        """The models of its store, by name."""
        return placed_models(self.lock, self.groups, self.answers)

    @property
    def names(self) -> tuple[Named, ...]:
        """The names that its Ollama answers to, and what it has under each."""
        return placed_names(self.lock, self.groups, self.answers)

    @property
    def packages(self) -> tuple[LockedPackage, ...]:
        """Its OS packages."""
        return self.lock.packages_for(self.groups)

    @property
    def files(self) -> dict[str, tuple[File, Blob]]:
        """Its plain files, by name: where each goes, and its content."""
        return self.lock.files_for(self.groups)


def want(
    host: str,
    groups: frozenset[str],
    settings: SiteSettings,
    lock: Lock,
    bundle: str,
    answers: Answers,
    site_files: SiteFiles,
    fleet: Fleet = ALONE,
) -> Wanted:
    """What a host is to be. This is the one place where it is decided.

    + host: its name in the inventory
    + groups: its groups there
    + settings: what the inventory says
    + lock: what its release pins
    + bundle: digest of the bundle that brought the lock
    + answers: which models answer there, from `sealift.host.model_fit.choose`
    + fleet: what it has to know of others
    """
    applied = applied_to(settings, lock, groups)
    generation = render_generation(applied, lock, bundle, groups, answers, site_files, TEMPLATES, fleet, host)
    return Wanted(host, groups, applied, lock, bundle, answers, generation)


def applied_to(settings: SiteSettings, lock: Lock, groups: frozenset[str]) -> SiteSettings:
    """The settings in force on a host that has a release.

    + settings: what the inventory says
    + lock: what the release pins
    """
    roles = lock.release.roles_for(groups).values()
    return settings.model_copy(update={OLLAMA.name: in_force(settings.ollama, roles)})
