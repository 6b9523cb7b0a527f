"""The keys of the gateways' clients on all hosts at once, and nothing else of what hosts are to be.

A host's generation is made anew with other keys, whatever else its inventory says by now. So is the one that
it would go back to: a key that was revoked does not come back.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pyinfra.api import FactProcessError

from sealift.errors import SealiftError
from sealift.facts.generation import GenerationFiles
from sealift.fleet.host_lock import host_held, owner
from sealift.fleet.rollout import one_rollout
from sealift.host.generation import RenderedFile, id_of, keys_file, version_of
from sealift.host.inputs import keys_values
from sealift.host.wanted import TEMPLATES
from sealift.host_paths import CURRENT, GENERATIONS, LIVE, PREVIOUS, ROOT
from sealift.operations.generation import placing, pointing
from sealift.operations.live import PLACE, taking
from sealift.services import GATEWAY, KEYS
from sealift.site.inventory import Host, Inventory
from sealift.site.secrets import open_secrets
from sealift.ssh import on_all

_FILE = f"{GATEWAY.name}/live/{KEYS}"
_ID = re.compile(r"[0-9a-f]{12}")
_OUTCOMES = {
    "taken": "",
    "refused": "its gateway refuses the new keys and goes on with those before. Look at its log.",
    "silent": "its gateway does not say that it goes by the new keys, which it has. Run sealift status.",
}


@dataclass(frozen=True)
class Pushed:
    """What came of it on a host.

    + confirmed: whether its gateway says that it goes by these keys
    + has_release: whether there is a gateway at all
    + problem: what is wrong; empty where nothing is
    + seconds: that it took
    """

    host: str
    confirmed: bool
    has_release: bool
    problem: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether no gateway there lets in by other keys."""
        return self.confirmed or not (self.has_release or self.problem)


@contextmanager
def no_rollout(inventory: Inventory) -> Iterator[None]:
    """Hold the locks of a site's depots: a rollout that has begun would bring the keys before back.

    Raises SealiftError where another rollout is running.
    """
    depots = sorted({host.settings.depot for host in inventory.hosts})
    with ExitStack() as held:
        for depot in depots:
            if depot.is_dir():  # else nothing was ever rolled out of it
                held.enter_context(one_rollout(depot))
        yield


def push_keys(inventory: Inventory) -> tuple[Pushed, ...]:
    """Bring the clients' keys to every host at once. The locks of the depots are held already.

    Raises SealiftError where the site's secrets cannot be opened.
    """
    files = {host.name: _keys(host) for host in inventory.hosts}
    by_name = {host.name: host for host in inventory.hosts}
    gathered = on_all(inventory.names, lambda name: _push(by_name[name], files[name]))
    lost = {
        name: Pushed(name, False, True, str(error).removeprefix(f"{name}: "), 0)
        for name, error in gathered.errors.items()
    }
    return tuple(gathered.results.get(name) or lost[name] for name in inventory.names)


def _keys(host: Host) -> RenderedFile:
    secrets = open_secrets(host.settings.secrets, host.settings.identity)
    return keys_file(keys_values(secrets.in_force(datetime.now(UTC).date())), TEMPLATES)


def _push(host: Host, keys: RenderedFile) -> Pushed:
    started = time.monotonic()

    def pushed(confirmed: bool = False, has_release: bool = True, problem: str = "") -> Pushed:
        return Pushed(host.name, confirmed, has_release, problem, round(time.monotonic() - started, 2))

    with host_held(host.ssh, owner(host.settings.depot)):
        stands = parse_stands(host.name, host.ssh.run(_ASK))
        if CURRENT not in stands:
            return pushed(has_release=False)
        if _FILE not in stands[CURRENT].files:
            return pushed(problem="its release is of an older sealift. Run sealift apply.")
        said = host.ssh.run_with(script(stands, keys), keys.content).strip()
    return pushed(said == "taken", problem=_OUTCOMES.get(said, "does not tell what it did. Look there."))


@dataclass(frozen=True)
class Stands:
    """A generation of a host: its id, and its files with mode and SHA-256."""

    id: str
    files: Mapping[str, tuple[int, str]]

    def with_keys(self, keys: RenderedFile) -> str:
        """The id that it has with other keys; the same where it has none."""
        own = {_FILE: (keys.mode, keys.sha256)} if _FILE in self.files else {}
        return id_of({**self.files, **own})


_MARK = "sealift-generation="
_ASK = "\n".join(
    f'if [ -e {link} ]; then echo "{_MARK}{link} $(basename "$(readlink {link})")"; '
    f"({GenerationFiles().command(generation=f'../{name}')}); fi"
    for link, name in ((CURRENT, "current"), (PREVIOUS, "previous"))
)


def parse_stands(host: str, said: str) -> dict[str, Stands]:
    """The generations of a host by their links. Raises SealiftError where they cannot be read."""
    found: dict[str, Stands] = {}
    for part in said.split(_MARK)[1:]:
        head, _, rest = part.partition("\n")
        link, _, name = head.partition(" ")
        try:
            listed = GenerationFiles().process(rest.splitlines())
            files = {
                path: (int(mode, 8), digest) for path, (mode, digest) in listed.items() if len(digest) > 1
            }
        except (FactProcessError, ValueError):
            files = {}
        if not files or link not in (CURRENT, PREVIOUS) or not _ID.fullmatch(name):
            raise SealiftError(f"{host}: a generation cannot be read, expected one. Run sealift apply.")
        found[link] = Stands(name, files)
    return found


def script(stands: Mapping[str, Stands], keys: RenderedFile) -> str:
    """Lines of sh(1) that give a host's generations the keys that come over standard input.

    They print `taken`, `refused` or `silent`. Where they are refused, all is as it was.

    + stands: the generations that it has, by their links
    """
    new = {link: each.with_keys(keys) for link, each in stands.items()}
    old = stands[CURRENT].id
    versions = {GATEWAY.live.versions[KEYS]: version_of(keys.content)} if GATEWAY.live else {}
    olds, news = {each.id for each in stands.values()}, set(new.values())
    back = f"{pointing(CURRENT, old)}; place_live {CURRENT} {LIVE}; {_removal(news - olds)}"
    lines = [
        "set -eu; umask 077",
        f'keys=$(mktemp {ROOT}/.keys.XXXXXX); trap \'rm -f "$keys"\' EXIT; cat >"$keys"',
        f'echo "{keys.sha256}  $keys" | sha256sum --check --status',
        *(line for link, each in stands.items() for line in _anew(each.id, new[link])),
        PLACE,
        taking(GATEWAY, versions),
        pointing(CURRENT, new[CURRENT]),
        f"place_live {CURRENT} {LIVE}",
        "outcome=taken; wait_taken || case $? in 1) outcome=refused ;; *) outcome=silent ;; esac",
        f'if [ "$outcome" = refused ]; then {back}; echo refused; exit; fi',
    ]
    if PREVIOUS in new:
        same = new[PREVIOUS] == new[CURRENT]
        lines.append(f"rm -f {PREVIOUS}" if same else pointing(PREVIOUS, new[PREVIOUS]))
    return "\n".join((*lines, _removal(olds - news), 'echo "$outcome"'))


def _anew(old: str, new: str) -> tuple[str, ...]:
    """Make a generation of another one, with the new keys."""
    fill = f'cp -a {old}/. "$new" && cat "$keys" >"$new/{_FILE}"'
    return placing(new, GENERATIONS, fill) if new != old else ()


def _removal(generations: Iterable[str]) -> str:
    gone = " ".join(sorted(generations))
    return f'for each in {gone}; do rm -rf "$(readlink -f {GENERATIONS}/$each)" {GENERATIONS}/$each; done'
