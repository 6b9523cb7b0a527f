"""What a Compose project's containers are and do."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host.generation import SPEC_LABEL
from sealift.host_paths import COMPOSED

_PROJECT = "com.docker.compose.project"
_CONTAINER = (
    f'{{"project":{{{{json (index .Config.Labels "{_PROJECT}")}}}},'
    '"service":{{json (index .Config.Labels "com.docker.compose.service")}},'
    f'"spec":{{{{json (index .Config.Labels "{SPEC_LABEL}")}}}},'
    '"made_from":{{json (index .Config.Labels "com.docker.compose.config-hash")}},'
    '"image":{{json .Image}},"state":{{json .State.Status}},'
    '"health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}""{{end}}}'
)


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


class Networks(FactBase[list[str]]):
    """Names of Docker's networks; none where Docker is not installed or does not answer."""

    default = list

    def command(self) -> str:
        """A line per network."""
        return "docker network ls --format '{{.Name}}' 2>/dev/null || :"

    @foreign
    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are."""
        return output


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


class ComposeContainers(FactBase[dict[str, tuple[Container, ...]]]):
    """The containers of projects, by project; none where Docker is not installed or does not answer.

    A project that was not asked for and has some is there without them.
    """

    default = dict

    def command(self, projects: tuple[Composed, ...]) -> str:
        """The shell command: a JSON line per container, then one per file that it sees; digests come first.

        A file that was replaced on the host is not what a container sees that was started before: it keeps
        the old one. So the files are read through the container's first process.
        """
        look = "".join(f"{each.project}) set -- {shlex.join(each.paths)} ;; " for each in projects)
        listing = f"docker ps --all --quiet --filter label={_PROJECT} 2>/dev/null"
        return (
            f'{" ".join(map(_hashes, projects))} ids=$({listing}); [ -z "$ids" ] || docker inspect --format'
            f" '{{{{.State.Pid}}}} {{{{index .Config.Labels \"{_PROJECT}\"}}}} {_CONTAINER}' $ids"
            f" | while read -r pid project said; do case $project in {look}"
            "*) printf 'other %s\\n' \"$project\"; continue ;; esac;"
            " printf '%s\\n' \"$said\";"
            ' for path; do file=/proc/$pid/root$path; if [ -f "$file" ]; then sha256sum "$file"; fi; done;'
            " done"
        )

    @foreign
    def process(self, output: list[str]) -> dict[str, tuple[Container, ...]]:
        """Read JSON lines, each followed by the lines of `sha256sum`."""
        hashes = [line.split() for line in output if line.startswith("hash ")]
        made: dict[str, tuple[Container, ...]] = {
            line.removeprefix("other "): () for line in output if line.startswith("other ")
        }
        digests = {(project, service): digest for _, project, service, digest in hashes}
        containers: list[tuple[str, dict[str, str], dict[str, str]]] = []
        for line in output:
            if line.startswith(("hash ", "other ")):
                continue
            if line.startswith("{"):
                found = json.loads(line)
                project = found.pop("project")
                found["to_be"] = digests.get((project, found["service"]), "")
                containers.append((project, found, {}))
            else:
                digest, _, path = line.partition("  /proc/")
                containers[-1][2]["/" + path.partition("/root/")[2]] = digest
        for project, found, mounted in containers:
            made[project] = (*made.get(project, ()), Container(**found, mounted=mounted))
        return made


def _hashes(of: Composed) -> str:
    """What Compose makes of a file: as it was noted when it started that very file, or anew."""
    noted = f'[ "$(head -n 1 {of.record} 2>/dev/null)" = "$(sha256sum <{of.file})" ]'
    return (
        f"if [ -r {of.file} ]; then if {noted}; then tail -n +2 {of.record}; else {of.hashes} 2>/dev/null; fi"
        f" | sed 's/^/hash {of.project} /'; fi;"
    )
