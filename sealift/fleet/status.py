"""What stands where, over a whole fleet: one SSH command per host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from sealift.errors import SealiftError, one_line, printable
from sealift.files import parse_json
from sealift.fleet.figures import Figures, parse_figures
from sealift.fleet.survey import Target
from sealift.host import engine
from sealift.host.client_inputs import OLLAMA_PORT
from sealift.host.key_values import key_values
from sealift.host.settings import SiteSettings
from sealift.host_paths import ALERTS, CURRENT, PROBED, ROOT
from sealift.release.ollama_manifest import LIBRARY
from sealift.release.values import MOST_NAMED, Foreign
from sealift.services import OLLAMA
from sealift.ssh import on_all

HEARTBEAT = f"{ALERTS}/heartbeat"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NUMBERS = ("free", "disk_size", "figures_age", "heartbeat_age")
_Text = Annotated[str, AfterValidator(printable)]  # a host's word, for the terminal
_MODELS = engine.models_of(OLLAMA.project, OLLAMA_PORT)
QUESTIONS = (engine.CONTAINERS, _MODELS)
_SCRIPT = resources.files("sealift.fleet").joinpath("status.sh").read_text()


def status_script(settings: SiteSettings) -> str:
    """What a host is asked, but for `QUESTIONS` to its Docker.

    + settings: the host's
    """
    return f"set -- {shlex.join((ROOT, settings.root, PROBED, HEARTBEAT))}\n{_SCRIPT}"


@dataclass(frozen=True)
class ContainerStatus:
    """A container of a Compose project: `running` and the like; `healthy`, or nothing without a check."""

    project: str
    state: str
    health: str
    image_id: str

    def __str__(self) -> str:
        return f"{self.project.removeprefix('sealift-')} {self.health or self.state}"


@dataclass(frozen=True)
class Standing:
    """What a host has. None and empty where sealift never was.

    + disk_free: bytes on the host store's file system
    + roles: the model that answers each
    + loaded: names of models and roles that are in memory now
    + failed: roles that do not answer, and why, as Ollama says it
    + disk: bytes of that file system
    + figures: what its probe has measured; None without one
    + heartbeat_age: seconds since its receiver of alerts had the last word that alerts would arrive; None
      where it has none
    """

    generation: str | None
    release: str | None
    bundle: str | None
    containers: tuple[ContainerStatus, ...]
    models: tuple[str, ...]
    disk_free: int | None
    roles: Mapping[str, str]
    loaded: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    disk: int | None = None
    figures: Figures | None = None
    heartbeat_age: int | None = None


@dataclass(frozen=True)
class HostStanding:
    """A host's standing, or why there is none."""

    host: str
    standing: Standing | None
    error: str | None


def fleet_standing(found: tuple[Target, ...]) -> tuple[HostStanding, ...]:
    """Ask all hosts at once, by one SSH command each. Those that do not answer are listed with the error."""
    by_name = {target.host.name: target for target in found}
    gathered = on_all(list(by_name), lambda name: _ask(by_name[name]))
    return tuple(
        HostStanding(name, gathered.results.get(name), str(gathered.errors.get(name) or "") or None)
        for name in by_name
    )


def _ask(target: Target) -> Standing:
    asked = f"{status_script(target.host.settings)}\n{engine.asking(QUESTIONS)}"
    return parse_status(target.host.name, target.host.ssh.run(asked))


def bundles_in_use(statuses: Iterable[HostStanding]) -> frozenset[str]:
    """Digests of the bundles whose generations are active on hosts.

    Raises SealiftError with a line per host of which it is unknown what it runs.
    """
    found: set[str] = set()
    unknown: list[str] = []
    for status in statuses:
        bundle = status.standing.bundle if status.standing else None
        if status.error or (bundle and not _DIGEST.fullmatch(bundle)):
            why = status.error or f"{CURRENT}/release.json was altered. Apply the release again."
            unknown.append(f"{status.host}: what it runs is unknown: {why}")
        elif bundle:
            found.add(bundle)
    if unknown:
        raise SealiftError("\n".join(unknown))
    return frozenset(found)


def parse_status(host: str, text: str) -> Standing:
    """Parse what status.sh prints, and Docker's answers; lines of other kinds are passed over.

    Raises SealiftError where it is not whole.
    """
    found = key_values(text)
    numbers = {key: found[key][0] for key in _NUMBERS if key in found}
    if "end" not in found or not all(re.fullmatch("-?[0-9]{1,18}", value) for value in numbers.values()):
        raise SealiftError(f"{host}: does not tell its status, expected Debian's coreutils. Log in and look.")
    if "away" in found:
        raise SealiftError(
            f"{host}: its {ROOT} is a link to {one_line(found['away'][0])[:200]}, which is not there, "
            "expected that folder. Mount its disk."
        )
    deployed = _deployed(host, found["release"][0]) if "release" in found else _Deployed()
    age = _number(numbers, "figures_age")
    containers, loaded, failed = _docker(host, text)
    return Standing(
        generation=found.get("generation", [None])[0],
        release=deployed.release,
        bundle=deployed.bundle,
        containers=containers,
        models=tuple(_model(path) for path in found.get("model", [])),
        disk_free=_number(numbers, "free"),
        roles=deployed.roles,
        loaded=loaded,
        failed=failed,
        disk=_number(numbers, "disk_size"),
        figures=None if age is None else parse_figures(age, found.get("figure", [])),
        heartbeat_age=_number(numbers, "heartbeat_age"),
    )


def _number(numbers: Mapping[str, str], key: str) -> int | None:
    return int(numbers[key]) if key in numbers else None


class _Deployed(Foreign):
    release: _Text | None = None
    bundle: _Text | None = None
    roles: dict[_Text, _Text] = Field(default_factory=dict)


def _deployed(host: str, text: str) -> _Deployed:
    try:
        return _Deployed.model_validate(
            parse_json(text.encode(), f"{host}: {CURRENT}/release.json", keys=MOST_NAMED)
        )
    except ValidationError:
        raise SealiftError(f"{host}: {CURRENT}/release.json: was altered. Apply the release again.") from None


def _docker(host: str, text: str) -> tuple[tuple[ContainerStatus, ...], tuple[str, ...], Mapping[str, str]]:
    """Containers of Compose projects, models in memory, and roles that do not answer."""
    try:
        told = engine.answers(text.split("\n"))
        seen = sorted((each for each in engine.containers(told) if each.project), key=lambda c: c.project)
        loaded, failed = engine.models(told.get(_MODELS, []))
    except engine.EngineError as error:
        raise SealiftError(f"{host}: {error}") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise SealiftError(f"{host}: its Docker answers what it never does. Log in and look.") from None
    return (
        tuple(ContainerStatus(*map(printable, (c.project, c.state, c.health, c.image_id))) for c in seen),
        tuple(map(printable, loaded)),
        {printable(role): _why(printable(why)) for role, why in failed.items()},
    )


def _why(said: str) -> str:
    why = said.strip().removeprefix('{"error":"').removesuffix('"}')
    return why[:300] or "Ollama does not say why"


def _model(path: str) -> str:
    """`registry.ollama.ai/library/gemma3/270m` as Ollama calls it: `gemma3:270m`."""
    name, _, tag = path.removeprefix(f"{LIBRARY}/").rpartition("/")
    return f"{name}:{tag}"
