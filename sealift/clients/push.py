"""What gateways say of their clients, on all hosts at once: keys, roles, limits and queue.

The settings about clients come along as the inventory has them by now; nothing else of what hosts are to be
does. A host's generation is made anew with such files. So is the one that it would go back to: a key that was
revoked does not come back.
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pyinfra.api import FactProcessError

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.facts.generation import GenerationFiles
from sealift.fleet.host_lock import host_held, owner
from sealift.fleet.rollout import one_rollout
from sealift.host.generation import RenderedFile, clients_files, id_of, version_of
from sealift.host.inputs import SiteFiles, clients_values
from sealift.host.settings import SiteSettings
from sealift.host.wanted import TEMPLATES, applied_to
from sealift.host_paths import CURRENT, GENERATIONS, LIVE, PREVIOUS, ROOT
from sealift.operations.generation import placing, pointing
from sealift.operations.live import PLACE, taking
from sealift.services import GATEWAY, KEYS
from sealift.site.inventory import Host, Inventory
from sealift.site.secrets import open_secrets
from sealift.ssh import on_all

_OLDER = "its release is of an older sealift{}. Run sealift apply."
_ID = re.compile(r"[0-9a-f]{12}")
_OUTCOMES = {
    "taken": "",
    "refused": "its gateway refuses the new keys and goes on with those before. Look at its log.",
    "silent": "its gateway does not say that it goes by the new keys, which it has. Run sealift status.",
}


@dataclass(frozen=True)
class News:
    """What gateways are to go by.

    + files: live files, by name
    + restricted: whether a client has roles or limits of its own
    """

    files: Mapping[str, RenderedFile]
    restricted: bool


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
    """Bring what gateways say of clients to every host at once. The locks of the depots are held already.

    Raises SealiftError where the site's secrets cannot be opened.
    """
    news = {host.name: _news(host) for host in inventory.hosts}
    by_name = {host.name: host for host in inventory.hosts}
    gathered = on_all(inventory.names, lambda name: _push(by_name[name], news[name]))
    lost = {
        name: Pushed(name, False, True, str(error).removeprefix(f"{name}: "), 0)
        for name, error in gathered.errors.items()
    }
    return tuple(gathered.results.get(name) or lost[name] for name in inventory.names)


def _news(host: Host) -> News:
    secrets = open_secrets(host.settings.secrets, host.settings.identity)
    keys = secrets.in_force(datetime.now(UTC).date())
    values = clients_values(settings_of(host), SiteFiles(keys, b"", b"", secrets.allowed, secrets.api_keys))
    return News(clients_files(values, TEMPLATES), secrets.restricts)


def settings_of(host: Host) -> SiteSettings:
    """The settings in force on a host, as an `apply` would make them.

    Without its release in the depot they are those of the inventory: a key must go all the same.
    """
    try:
        lock = Depot(host.settings.depot).resolve(host.settings.release).lock
    except SealiftError:
        return host.settings
    return applied_to(host.settings, lock, host.groups)


def _push(host: Host, news: News) -> Pushed:
    started = time.monotonic()

    def pushed(confirmed: bool = False, has_release: bool = True, problem: str = "") -> Pushed:
        return Pushed(host.name, confirmed, has_release, problem, round(time.monotonic() - started, 2))

    with host_held(host.ssh, owner(host.settings.depot)):
        stands = parse_stands(host.name, host.ssh.run(_ASK))
        if CURRENT not in stands:
            return pushed(has_release=False)
        known = stands[CURRENT].known(news.files)
        if KEYS not in known:
            return pushed(problem=_OLDER.format(""))
        said = host.ssh.run_with(script(stands, news.files), packed(news.files)).strip()
    problem = _OUTCOMES.get(said, "does not tell what it did. Look there.")
    if not problem and news.restricted and len(known) < len(news.files):
        problem = _OLDER.format(", where clients are not held to their roles and limits")
    return pushed(not problem, problem=problem)


@dataclass(frozen=True)
class Stands:
    """A generation of a host: its id, and its files with mode and SHA-256."""

    id: str
    files: Mapping[str, tuple[int, str]]

    def known(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the gateway's live files that it has: one of an older sealift lacks some."""
        return tuple(name for name in names if _path(name) in self.files)

    def having(self, files: Mapping[str, RenderedFile]) -> str:
        """The id that it has with other live files, as far as it has such."""
        own = {_path(name): (files[name].mode, files[name].sha256) for name in self.known(files)}
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


def packed(files: Mapping[str, RenderedFile]) -> bytes:
    """Live files as a tar archive, for standard input."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, file in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(file.content), file.mode
            archive.addfile(member, io.BytesIO(file.content))
    return packed.getvalue()


def script(stands: Mapping[str, Stands], files: Mapping[str, RenderedFile]) -> str:
    """Lines of sh(1) that give a host's generations the live files that come over standard input.

    They print `taken`, `refused` or `silent`. Where they are refused, all is as it was.

    + stands: the generations that it has, by their links
    + files: by name
    """
    new = {link: each.having(files) for link, each in stands.items()}
    old = stands[CURRENT].id
    names = GATEWAY.live.versions if GATEWAY.live else {}
    versions = {names[name]: version_of(files[name].content) for name in stands[CURRENT].known(files)}
    sums = "\n".join(f"{file.sha256}  {name}" for name, file in files.items())
    olds, news = {each.id for each in stands.values()}, set(new.values())
    back = f"{pointing(CURRENT, old)}; place_live {CURRENT} {LIVE}; {_removal(news - olds)}"
    lines = [
        "set -eu; umask 077",
        f'come=$(mktemp -d {ROOT}/.clients.XXXXXX); trap \'rm -rf "$come"\' EXIT; tar -C "$come" -xf -',
        f"(cd \"$come\" && echo '{sums}' | sha256sum --check --status)",
        *(line for link, each in stands.items() for line in _anew(each, new[link], each.known(files))),
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


def _anew(old: Stands, new: str, names: Iterable[str]) -> tuple[str, ...]:
    """Make a generation of another one, with the new live files."""
    fill = " && ".join((f'cp -a {old.id}/. "$new"', *(f'cat "$come/{n}" >"$new/{_path(n)}"' for n in names)))
    return placing(new, GENERATIONS, fill) if new != old.id else ()


def _path(name: str) -> str:
    """Where a live file stands in a generation."""
    return f"{GATEWAY.name}/live/{name}"


def _removal(generations: Iterable[str]) -> str:
    gone = " ".join(sorted(generations))
    return f'for each in {gone}; do rm -rf "$(readlink -f {GENERATIONS}/$each)" {GENERATIONS}/$each; done'
