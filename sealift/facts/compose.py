"""What a Compose project's containers are and do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.facts.engine import EngineFact
from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host.engine import CONTAINERS, NETWORKS, Seen, answers, asking, containers, sees
from sealift.host.generation import SPEC_LABEL
from sealift.host_paths import COMPOSED

_PROJECT = "com.docker.compose.project"


@dataclass(frozen=True)
class Container:
    """A container of a Compose project.

    + service: its service's name
    + spec: digest of the configuration that it was made from
    + image: image ID
    + state: such as `running` or `exited`
    + health: `starting`, `healthy`, `unhealthy`, or empty without a health check
    + made_from: Compose's own digest of the configuration that it was made from
    + to_be: the same of the Compose file as it is now; empty where that cannot be read
    + mounted: SHA-256 of files by path, as its processes see them
    """

    service: str
    spec: str
    image: str
    state: str
    health: str
    made_from: str = ""
    to_be: str = ""
    mounted: Mapping[str, str] = field(default_factory=dict)


class ComposeProjects(FactBase[list[str]]):
    """Names of all Compose projects that have containers; none where Docker does not answer."""

    default = list

    def command(self) -> str:
        """A line per container."""
        form = f'{{{{.Label "{_PROJECT}"}}}}'
        return f"docker ps --all --filter label={_PROJECT} --format '{form}' 2>/dev/null || :"

    @foreign
    def process(self, output: list[str]) -> list[str]:
        """Each once."""
        return sorted(set(output))


class Networks(EngineFact[list[str]]):
    """Names of Docker's networks; none where Docker is not installed or does not run."""

    default = list

    def asks(self) -> tuple[str, ...]:
        """All of them."""
        return (NETWORKS,)

    def command(self) -> str:
        """Ask all of it."""
        return asking(self.asks())

    @foreign
    def process(self, output: list[str]) -> list[str]:
        """Read the answer."""
        return [str(network["Name"]) for network in json.loads(answers(output)[NETWORKS][0])]


@dataclass(frozen=True)
class Composed:
    """What a project's containers are made of and see.

    + project: Compose's name of it
    + file: the Compose file, on the host
    + paths: absolute, of files in its containers
    """

    project: str
    file: str
    paths: tuple[str, ...] = ()

    @property
    def record(self) -> str:
        """Where the host keeps the digest of the file, and Compose's digests of what it makes of it."""
        return f"{COMPOSED}/{self.project}"

    @property
    def hashes(self) -> str:
        """The command that asks Compose for its digests: it takes a tenth of a second."""
        return f"docker compose --file {self.file} config --hash '*'"


class ComposeContainers(EngineFact[dict[str, tuple[Container, ...]]]):
    """The containers of projects, by project; none where Docker is not installed or does not run.

    A project that was not asked for and has some is there without them.
    """

    default = dict

    def asks(self, projects: tuple[Composed, ...]) -> tuple[str, ...]:
        """All containers, and the files that those of these projects see."""
        return CONTAINERS, *(sees(each.project, path) for each in projects for path in each.paths)

    def beside(self, projects: tuple[Composed, ...]) -> str:
        """What Compose makes of the projects' files."""
        return _hashes(projects)

    def command(self, projects: tuple[Composed, ...]) -> str:
        """Ask all of it."""
        return f"{self.beside(projects)}{asking(self.asks(projects))}"

    @foreign
    def process(self, output: list[str]) -> dict[str, tuple[Container, ...]]:
        """Read the answers, and lines of digests, which name the projects that are asked for."""
        hashes = [line.split() for line in output if line.startswith("hash ")]
        to_be = {(project, service): digest for _, project, service, digest in hashes}
        asked = {line.split()[1] for line in output if line.startswith("asked ")}
        found = answers(output)
        mounted: dict[str, dict[str, str]] = {}
        for question, lines in found.items():
            kind, _, rest = question.partition(":")
            for container, _, digest in (line.partition(" ") for line in lines if kind == "sees"):
                mounted.setdefault(container, {})[rest.partition(":")[2]] = digest
        made: dict[str, tuple[Container, ...]] = {}
        for seen in filter(lambda seen: seen.project, containers(found)):
            one = _container(seen, to_be.get((seen.project, seen.service), ""), mounted.get(seen.id, {}))
            made[seen.project] = (*made.get(seen.project, ()), *([one] if seen.project in asked else []))
        return made


def _container(seen: Seen, to_be: str, mounted: Mapping[str, str]) -> Container:
    return Container(
        service=seen.service,
        spec=seen.labels.get(SPEC_LABEL, ""),
        image=seen.image_id,
        state=seen.state,
        health=seen.health,
        made_from=seen.labels.get("com.docker.compose.config-hash", ""),
        to_be=to_be,
        mounted=mounted,
    )


def _hashes(projects: tuple[Composed, ...]) -> str:
    """What Compose makes of files: as it was noted when it started those very files, or anew.

    Lines `asked PROJECT`, and `hash PROJECT SERVICE DIGEST`.
    """
    files = " ".join(each.file for each in projects)
    asked = "; ".join(f"echo 'asked {each.project}'" for each in projects)
    which = " ".join(f"{each.file}) project={each.project} note={each.record} ;;" for each in projects)
    again = Composed("", '"$file"').hashes
    return f"""{asked}
sha256sum {files} 2>/dev/null | while read -r digest file; do
    case $file in {which} esac
    noted=
    if [ -r "$note" ]; then read -r noted _ <"$note"; fi
    if [ "$noted" = "$digest" ]; then
        {{ read -r _; while read -r line; do echo "hash $project $line"; done; }} <"$note"
    else
        {again} 2>/dev/null </dev/null | while read -r line; do echo "hash $project $line"; done
    fi
done
"""
