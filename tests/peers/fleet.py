"""A front door before the gateways of some hosts, all of them the real Envoy as it is rendered for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.host.behind import Behind
from sealift.host.fleet import Fleet
from sealift.host.generation import Generation, render_generation
from sealift.host.given import SiteFiles
from sealift.host.wanted import TEMPLATES
from sealift.release.locked import Lock
from sealift.services import CA, FRONT, TLS
from sealift.site.certificates import Authority, Names, new_authority
from sealift.site.secrets import Secrets
from tests.peers import gateway
from tests.peers.gateway import CLIENTS, NEWEST, ROLE, Gateway, Shown, keys_of, lock_of
from tests.peers.live import LiveEnvoy
from tests.unit.fleet_site import BUNDLE, MODEL, site_settings

# No limit to these tests.
_OFTEN = 1_000_000  # requests a minute
_FREE = Secrets.model_construct(api_keys={name: keys_of(name, streams=1000) for name in CLIENTS})


@dataclass
class FrontDoor:
    """One that runs.

    + asked: it, as clients see it
    + hosts: the gateways behind it, by their names
    """

    envoy: LiveEnvoy
    asked: Gateway
    hosts: Mapping[str, Gateway]
    behind: tuple[Behind, ...]
    _site: tuple[Lock, SiteFiles, dict[str, Any]] = field(repr=False)
    _authority: Authority = field(repr=False)

    def generation(self) -> Generation:
        """What its host is to have."""
        lock, files, settings = self._site
        most = {"max_connections": settings["max_connections"]} if "max_connections" in settings else {}
        site = site_settings(gateway={"certificate": "x", "key": "x", "ca": "x", **settings}, front=most)
        groups = frozenset(FRONT.groups)
        return render_generation(
            site, lock, BUNDLE, groups, {ROLE: MODEL}, files, TEMPLATES, Fleet(self.behind)
        )

    def change(self, *names: str, **hosts: Mapping[str, Any]) -> None:
        """Change what is behind it, and wait until it goes by that.

        + names: of live files; all of them where none is named
        + hosts: by their names, what is another
        """
        self.behind = tuple(replace(each, **hosts.get(each.name, {})) for each in self.behind)
        changed = self.generation()
        self.envoy.place(changed, *names)
        self.envoy.takes(changed)

    def renew(self) -> None:
        """Have it show another certificate, and believe a further CA."""
        lock, files, settings = self._site
        own = _shown(self._authority, "front", self.asked.certificate)
        other = new_authority("another", datetime.now(UTC)).pair.certificate
        changed = replace(files, certificate=own.certificate, key=own.key, ca=files.ca + other)
        self._site = lock, changed, settings
        self.change(TLS, CA)

    def without(self, *hosts: str) -> None:
        """Have it know some hosts no more."""
        self.behind = tuple(each for each in self.behind if each.name not in hosts)
        self.change()

    def calls(self) -> dict[str, int]:
        """How many have come through to each host's stand-in of Ollama."""
        return {name: len(each.calls) for name, each in self.hosts.items()}


@contextmanager
def front_door(
    program: Path,
    folder: Path,
    hosts: Mapping[str, Sequence[str]],
    *,
    secrets: Secrets = _FREE,
    other: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> Iterator[FrontDoor]:
    """Run a front door and the gateways behind it.

    + hosts: by their names, what each may be asked for
    + secrets: of the site
    + other: by host, options of its gateway; `certificate_of` is another name than its own
    + settings: of all gateways
    """
    authority, now = new_authority("tests", datetime.now(UTC)), datetime.now(UTC)
    ca = folder / "ca.crt"
    ca.write_bytes(authority.pair.certificate)
    lock, often = lock_of(NEWEST), {"requests_per_minute": _OFTEN, **settings}
    with ExitStack() as stack:
        running = {}
        for name in hosts:
            (folder / name).mkdir()
            options = {**often, **(other or {}).get(name, {})}
            shown = _shown(authority, options.pop("certificate_of", name), ca)
            running[name] = stack.enter_context(
                gateway.serving(
                    program,
                    folder / name,
                    lock,
                    secrets=secrets,
                    shown=shown,
                    roles=hosts[name],
                    **options,
                )
            )
        behind = tuple(
            Behind(name, "127.0.0.1", each.port, tuple(hosts[name]), 4096, 300, False)
            for name, each in running.items()
        )
        own = _shown(authority, "front", ca)
        keys = secrets.in_force(now.date())
        files = SiteFiles(keys, own.certificate, own.key, secrets.allowed, secrets.api_keys, ca.read_bytes())
        envoy = LiveEnvoy(folder / "front", FRONT, {"address: 0.0.0.0": "address: 127.0.0.1"})
        door = FrontDoor(envoy, Gateway(envoy.port, ca), running, behind, (lock, files, often), authority)
        process = stack.enter_context(envoy.running(program, door.generation()))
        yield replace(door, asked=replace(door.asked, process=process))


def _shown(authority: Authority, name: str, ca: Path) -> Shown:
    """What a host shows; tests ask it by the name of this machine."""
    made = authority.issue(Names((name, "localhost")), datetime.now(UTC))
    return Shown(made.certificate, made.key, ca)
