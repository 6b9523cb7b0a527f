"""What a Compose project's containers are and do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host.generation import SPEC_LABEL

_CONTAINER = (
    '{"service":{{json (index .Config.Labels "com.docker.compose.service")}},'
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
        label = "com.docker.compose.project"
        return (
            f"docker ps --all --filter label={label} --format '{{{{.Label \"{label}\"}}}}' 2>/dev/null || :"
        )

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


class ComposeContainers(FactBase[tuple[Container, ...]]):
    """A project's containers; none where Docker is not installed or does not answer."""

    default = tuple

    def command(self, project: str, file: str, paths: tuple[str, ...]) -> str:
        """The shell command: a JSON line per container, then one per file that it sees; digests come first.

        A file that was replaced on the host is not what a container sees that was started before: it keeps
        the old one. So the files are read through the container's first process.

        + project: Compose's name of it
        + file: the Compose file, on the host
        + paths: absolute, of files in its containers
        """
        listing = f"docker ps --all --quiet --filter label=com.docker.compose.project={project}"
        files = " ".join(f'"/proc/$pid/root{path}"' for path in paths)
        return (
            f"if [ -r {file} ]; then docker compose --file {file} config --hash '*' 2>/dev/null"
            " | sed 's/^/hash /'; fi;"
            f" for id in $({listing} 2>/dev/null); do docker inspect --format '{_CONTAINER}' $id;"
            " pid=$(docker inspect --format '{{.State.Pid}}' $id);"
            f' for file in {files}; do if [ -f "$file" ]; then sha256sum "$file"; fi; done; done'
        )

    @foreign
    def process(self, output: list[str]) -> tuple[Container, ...]:
        """Read JSON lines, each followed by the lines of `sha256sum`."""
        digests = dict(line.split()[1:3] for line in output if line.startswith("hash "))
        containers: list[dict[str, str]] = []
        mounted: list[dict[str, str]] = []
        for line in output:
            if line.startswith("hash "):
                continue
            if line.startswith("{"):
                found = json.loads(line)
                containers.append({**found, "to_be": digests.get(found["service"], "")})
                mounted.append({})
            else:
                digest, _, path = line.partition("  /proc/")
                mounted[-1]["/" + path.partition("/root/")[2]] = digest
        return tuple(
            Container(**container, mounted=files)
            for container, files in zip(containers, mounted, strict=True)
        )
