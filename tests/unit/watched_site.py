"""A site whose release has all that watches a fleet, with real certificates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from sealift.host.fleet import Fleet
from sealift.host.generation import Generation, render_generation
from sealift.host.given import SiteFiles
from sealift.host.wanted import TEMPLATES
from sealift.host.watched import watched
from sealift.release.locked import Lock
from sealift.services import MONITOR_NAME
from sealift.site.certificates import CLIENT, Authority, Names, Pair, new_authority
from tests.unit import samples
from tests.unit.fleet_site import BUNDLE, MODEL, blob, image, lock, site_settings

WATCHING = ("alertmanager", "node", "probe", "prometheus")
HOSTS = {"h1": frozenset({"monitor"}), "h2": frozenset({"front"})}  # and their groups


def watching_lock(images: Iterable[str] = WATCHING) -> Lock:
    """A release that has these images beside the two that every release has."""
    names = {name: f"localhost/{name}:1" for name in images}
    entries = {name: {"name": called, "archive": f"{name}.tar"} for name, called in names.items()}
    document = samples.release().model_dump()["images"]
    made = lock(samples.release(images={**document, **entries}))
    locked = {
        name: image(12, blob(99, 5)).model_copy(update={"name": called}) for name, called in names.items()
    }
    return made.model_copy(update={"images": {**made.images, **locked}})


@dataclass(frozen=True)
class Watched:
    """What a site has for a host named h1, and who watches."""

    authority: Authority
    host: Pair
    monitor: Pair

    @classmethod
    def made(cls) -> Watched:
        """With a CA of its own."""
        authority, now = new_authority("tests", datetime.now(UTC)), datetime.now(UTC)
        return cls(
            authority,
            authority.issue(Names(("h1",)), now),
            authority.issue(Names((MONITOR_NAME,)), now, CLIENT),
        )

    @property
    def files(self) -> SiteFiles:
        """Opened."""
        return SiteFiles(
            {"probe": (SecretStr("key-of-the-probe-0123456789"),)},
            self.host.certificate,
            self.host.key,
            ca=self.authority.pair.certificate,
            monitor_certificate=self.monitor.certificate,
            monitor_key=self.monitor.key,
        )

    def generation(self, *groups: str, images: Iterable[str] = WATCHING, **settings: Any) -> Generation:
        """What h1 is to have.

        + groups: its own
        + settings: of the site
        """
        lock, site = watching_lock(images), site_settings(**settings)
        fleet = Fleet(watched=tuple(watched(h, of, site, lock, f"10.0.0.{h[1]}") for h, of in HOSTS.items()))
        of = frozenset(groups)
        return render_generation(site, lock, BUNDLE, of, {"chat": MODEL}, self.files, TEMPLATES, fleet, "h1")
