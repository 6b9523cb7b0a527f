"""Live files of services on all hosts at once, and nothing else of what hosts are to be.

A host's generation is made anew with other ones, whatever else its inventory says by now. So is the one that
it would go back to: no way back leads to a key that was revoked, or to a host that was drained.
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from pyinfra.api import FactProcessError

from sealift.errors import SealiftError
from sealift.facts.generation import GenerationFiles
from sealift.fleet.host_lock import Owner, host_held, owner
from sealift.fleet.wave import one_rollout
from sealift.host.generation import RenderedFile, id_of, live_path, version_of
from sealift.host.record import PLACE
from sealift.host_paths import CURRENT, GENERATIONS, LIVE, PREVIOUS, ROOT
from sealift.operations.generation import placing, pointing
from sealift.operations.live import taking
from sealift.service import Service
from sealift.services import FRONT, SERVICES
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Ssh, on_all

_ID = re.compile(r"[0-9a-f]{12}")
_ATTEMPTS = 3  # where somebody changed the host meanwhile
_BUSY_S = 30  # until one that was cut off here has ended there: it waits up to 10 s for each service
_OUTCOMES = {
    "taken": "",
    "refused": "its {service} refuses the new {what} and goes on with those before. Look at its log.",
    "moved": "its generations are changed by somebody else at this moment. Run the same again.",
    "silent": "its {service} does not say that it goes by the new {what}, which it has. Run sealift status.",
}


Hold = Callable[[Ssh, Owner], AbstractContextManager[None]]


@dataclass(frozen=True)
class News:
    """What services of a host are to go by.

    + what: it is, for messages: keys
    + files: live files, by path below a generation
    + without: what it means for a service that is of an older sealift and lacks a file, by its path; nothing
      for one that may be lacking
    """

    what: str
    files: Mapping[str, RenderedFile]
    without: Mapping[str, str]


@dataclass(frozen=True)
class Pushed:
    """What came of it on a host.

    + confirmed: whether its services say that they go by what is new
    + has_release: whether there are such services at all
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
        """Whether no service there goes by what was before."""
        return self.confirmed or not (self.has_release or self.problem)


@contextmanager
def no_rollout(inventory: Inventory) -> Iterator[None]:
    """Hold the locks of a site's depots: a rollout that has begun would bring back what was before.

    Raises SealiftError where another rollout is running.
    """
    depots = sorted({host.settings.depot for host in inventory.hosts})
    with ExitStack() as held:
        for depot in depots:
            if depot.is_dir():  # else nothing was ever rolled out of it
                held.enter_context(one_rollout(depot))
        yield


def push(inventory: Inventory, news: Callable[[Host], News], hold: Hold = host_held) -> tuple[Pushed, ...]:
    """Bring live files to every host at once. The locks of the depots are held already.

    + news: what a host's services are to go by; may raise SealiftError
    + hold: holds the lock of a host; a rollout holds those of all hosts itself
    """
    by_name = {host.name: host for host in inventory.hosts}
    new = {host.name: news(host) for host in inventory.hosts}
    gathered = on_all(inventory.names, lambda name: _push(by_name[name], new[name], hold))
    lost = {
        name: Pushed(name, False, True, str(error).removeprefix(f"{name}: "), 0)
        for name, error in gathered.errors.items()
    }
    return tuple(gathered.results.get(name) or lost[name] for name in inventory.names)


def _push(host: Host, news: News, hold: Hold) -> Pushed:
    started = time.monotonic()

    def pushed(confirmed: bool = False, has_release: bool = True, problem: str = "") -> Pushed:
        return Pushed(host.name, confirmed, has_release, problem, round(time.monotonic() - started, 2))

    with hold(host.ssh, owner(host.settings.depot)):
        for _ in range(_ATTEMPTS):
            stands = parse_stands(host.name, host.ssh.run(_ASK))
            if CURRENT not in stands:
                return pushed(has_release=False)
            lacks = stands[CURRENT].lacks(news.without)
            if not stands[CURRENT].known(news.files):
                return pushed(has_release=bool(lacks), problem=_older(news, lacks))
            said = host.ssh.run_with(script(stands, news.files), packed(news.files)).split()
            if said != ["moved"]:
                break
    return pushed(not (problem := _problem(said, news, lacks)), problem=problem)


def _problem(said: list[str], news: News, lacks: Iterable[str]) -> str:
    """What is wrong by what the script said; empty where nothing is."""
    outcome, *services = said or ["nothing"]
    if outcome not in _OUTCOMES:
        return "does not tell what it did. Look there."
    called = "front door" if services == [FRONT.name] else " ".join(services)
    return _OUTCOMES[outcome].format(service=called, what=news.what) or _older(news, lacks)


def _older(news: News, lacks: Iterable[str]) -> str:
    consequences = [news.without[path] for path in lacks]
    return f"its release is of an older sealift{consequences[0]}. Run sealift apply." if consequences else ""


@dataclass(frozen=True)
class Stands:
    """A generation of a host: its id, and its files with mode and SHA-256."""

    id: str
    files: Mapping[str, tuple[int, str]]

    def known(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of some files that it has: one of an older sealift lacks some."""
        return tuple(path for path in paths if path in self.files)

    def having(self, files: Mapping[str, RenderedFile]) -> str:
        """The id that it has with other files, as far as it has such."""
        own = {path: (files[path].mode, files[path].sha256) for path in self.known(files)}
        return id_of({**self.files, **own})

    def lacks(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of some files of services that it runs which it does not have."""
        running = {path.partition("/")[0] for path in self.files}
        return tuple(path for path in paths if path.partition("/")[0] in running and path not in self.files)


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
    """Files as a tar archive, for standard input."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, file in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(file.content), file.mode
            archive.addfile(member, io.BytesIO(file.content))
    return packed.getvalue()


def script(stands: Mapping[str, Stands], files: Mapping[str, RenderedFile]) -> str:
    """Lines of sh(1) that give a host's generations the live files that come over standard input.

    They print `taken`, or `refused` or `silent` and by which service. Where one refuses, all is as it was. Or
    they print `moved` and change nothing: its generations are not those any more. A script goes on where its
    connection is cut, so the next one waits for it, else each would remove what the other one makes.

    + stands: the generations that it has, by their links
    + files: by path below a generation
    """
    new = {link: each.having(files) for link, each in stands.items()}
    old, known = stands[CURRENT].id, stands[CURRENT].known(files)
    sums = "\n".join(f"{file.sha256}  {path}" for path, file in files.items())
    olds, news = {each.id for each in stands.values()}, set(new.values())
    back = f"{pointing(CURRENT, old)}; place_live {CURRENT} {LIVE}; {_removal(news - olds)}"
    lines = [
        "set -eu; umask 077",
        f"exec 9<{GENERATIONS}; flock -w {_BUSY_S} 9 || {{ echo moved; exit; }}",
        *(
            f'[ "$(basename "$(readlink {link})")" = {each.id} ] || {{ echo moved; exit; }}'
            for link, each in stands.items()
        ),
        f'come=$(mktemp -d {ROOT}/.live.XXXXXX); trap \'rm -rf "$come"\' EXIT; tar -C "$come" -xf -',
        f"(cd \"$come\" && echo '{sums}' | sha256sum --check --status)",
        *(line for link, each in stands.items() for line in _anew(each, new[link], each.known(files))),
        PLACE,
        pointing(CURRENT, new[CURRENT]),
        f"place_live {CURRENT} {LIVE}",
        "outcome=taken",
        *(line for service in SERVICES for line in _waiting(service, files, known)),
        f'case $outcome in refused*) {back}; echo "$outcome"; exit ;; esac',
    ]
    if PREVIOUS in new:
        lines.append(
            pointing(PREVIOUS, new[PREVIOUS])
        )  # to the same where they differed in these files alone
    return "\n".join((*lines, _removal(olds - news), 'echo "$outcome"'))


def _waiting(service: Service, files: Mapping[str, RenderedFile], known: Iterable[str]) -> tuple[str, ...]:
    """Wait until a service goes by those of its live files that are new; nothing where none is."""
    versions = {
        version: version_of(files[path].content)
        for name, version in (service.live.versions.items() if service.live else ())
        if (path := live_path(service, name)) in known and path in files
    }
    if not versions:
        return ()
    refused, silent = f"refused {service.name}", f"silent {service.name}"
    return (
        taking(service, versions),
        f'wait_taken || case $?$outcome in 1*) outcome="{refused}" ;; ?taken) outcome="{silent}" ;; esac',
    )


def _anew(old: Stands, new: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Make a generation of another one, with the new live files."""
    fill = " && ".join(
        (f'cp -a {old.id}/. "$new"', *(f'cat "$come/{path}" >"$new/{path}"' for path in paths))
    )
    return placing(new, GENERATIONS, fill) if new != old.id else ()


def _removal(generations: Iterable[str]) -> str:
    gone = " ".join(sorted(generations))
    return f'for each in {gone}; do rm -rf "$(readlink -f {GENERATIONS}/$each)" {GENERATIONS}/$each; done'
