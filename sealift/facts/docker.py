"""What the daemons of Docker do on a host: dockerd and containerd."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sealift.facts.engine import EngineFact
from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host.engine import CONTAINERS, answers, asking, containers

DAEMON_JSON = "/etc/docker/daemon.json"
CONTAINERD_TOML = "/etc/containerd/config.toml"


@dataclass(frozen=True)
class DaemonState:
    """Whether a daemon is enabled and runs, since when, and when its configuration was last changed.

    Both times are seconds since the epoch, to the microsecond.
    """

    enabled: bool = False
    active: bool = False
    started: float = 0.0
    configured: float = 0.0

    @property
    def runs_its_configuration(self) -> bool:
        """Whether the daemon that runs has read the configuration as it is now."""
        return self.active and self.configured < self.started


class Daemon(FactBase[DaemonState]):
    """A daemon's state; as if stopped where it is not installed."""

    default = DaemonState

    def command(self, unit: str, configuration: str) -> str:
        """Ask systemd and the file system.

        The change time of the inode is asked for, not of the content: a file moved into place, or put back
        with its old date, counts as changed.

        + unit: systemd's name of it
        + configuration: the file that it reads when it starts
        """
        return (
            f"systemctl show {unit} --timestamp=us+utc"
            " --property=UnitFileState,ActiveState,ExecMainStartTimestamp; "
            f"if [ -e {configuration} ]; then stat -c 'Configured=%.6Z' {configuration}; fi"
        )

    @foreign
    def process(self, output: list[str]) -> DaemonState:
        """Read `KEY=VALUE` lines."""
        values = dict(line.split("=", 1) for line in output)
        return DaemonState(
            enabled=values.get("UnitFileState") == "enabled",
            active=values.get("ActiveState") == "active",
            started=_seconds(values.get("ExecMainStartTimestamp", "")),
            configured=float(values.get("Configured", 0)),
        )


class DockerRules(FactBase[list[str]]):
    """The rules by which Docker lets the network in to containers, as iptables(8) lists them.

    Empty where there is no iptables, or Docker keeps no rules in it.
    """

    default = list

    def command(self) -> str:
        """List Docker's chain."""
        return "iptables -w -S DOCKER 2>/dev/null || :"

    @foreign
    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are."""
        return output


class RulesAndRunning(EngineFact[tuple[list[str], frozenset[str]]]):
    """`DockerRules`, and the Compose projects that have a container that runs.

    Docker removes the rules of a container that stops.
    """

    @staticmethod
    def default() -> tuple[list[str], frozenset[str]]:
        """No rules, and nothing that runs."""
        return [], frozenset()

    def asks(self) -> tuple[str, ...]:
        """All containers."""
        return (CONTAINERS,)

    def beside(self) -> str:
        """List Docker's chain."""
        return DockerRules().command()

    def command(self) -> str:
        """Ask all of it."""
        return f"{self.beside()}\n{asking(self.asks())}"

    @foreign
    def process(self, output: list[str]) -> tuple[list[str], frozenset[str]]:
        """Read the answer; rules begin with a dash."""
        seen = containers(answers(output))
        rules = [line for line in output if line.startswith("-")]
        return rules, frozenset(each.project for each in seen if each.state == "running")


def shut_ports(rules: list[str], ports: Iterable[int]) -> list[int]:
    """Those of some ports of containers that Docker's rules let nobody in to.

    + rules: from DockerRules
    + ports: TCP, in the containers
    """
    return [port for port in ports if rules and not any(f"--dport {port} " in rule for rule in rules)]


def _seconds(timestamp: str) -> float:
    """A time as `systemctl --timestamp=us+utc` writes it: `Sat 2026-11-21 12:28:11.123456 UTC`."""
    match = re.search(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) UTC", timestamp)
    if match is None:
        return 0.0
    return datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
