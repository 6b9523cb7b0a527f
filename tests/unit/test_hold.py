"""Holding requests at the gateway, by a real shell: however the lines between end, the gateway goes on."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sealift.host_paths import ROOT
from sealift.operations.hold import HELD, NOWHERE, Hold, held, hold_of
from tests.unit.fleet_site import site_settings

_OWN = 'version_info: "abc"\nresources:\n  - socket_address: {address: ollama, port_value: 11434}\n'
# Stands for Docker: a gateway runs; it says what clusters it goes by, and how many requests it has in work.
_DOCKER = """\
#!/bin/sh
case $1 in
    ps) [ -e {folder}/stopped ] || echo gateway ;;
    exec)
        case $* in
            *version_text*)
                sed 's/^version_info: "*\\([a-z]*\\).*/cluster_manager.cds.version_text: "\\1"/; q' {to} ;;
            *) echo "cluster.alice.upstream_rq_active: $(cat {folder}/active)"
               echo cluster.all_clients.upstream_rq_active: 7
               echo 0 >{folder}/active ;;
        esac ;;
esac
"""


_HOLD = Hold(5)


class _Host:
    """A host's folders below another one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.systemd = folder, folder / "root", folder / "systemd"
        self.to = self.root / "live/gateway/clusters.yaml"
        own = self.root / "current/gateway/live/clusters.yaml"
        for path in (own, self.to):
            path.parent.mkdir(parents=True)
            path.write_text(_OWN)
        (folder / "active").write_text("1")
        self.systemd.mkdir()
        docker = folder / "bin/docker"
        docker.parent.mkdir()
        docker.write_text(_DOCKER.format(folder=folder, to=self.to))
        docker.chmod(0o755)
        for name in ("systemctl", "systemd-run"):
            tool = folder / "bin" / name
            tool.write_text(f'#!/bin/sh\necho "{name} $*" >>{folder}/told\n')
            tool.chmod(0o755)

    def run(self, commands: str, hold: Hold = _HOLD) -> subprocess.CompletedProcess[str]:
        script = (
            held(hold, commands)
            .replace(ROOT, str(self.root))
            .replace("/etc/systemd/system", str(self.systemd))
        )
        path = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "TO": str(self.to)}
        # a shell traps no signal that whoever started the tests ignores, such as nohup
        command = ("env", "--default-signal=HUP", "dash", "-c", script)
        return subprocess.run(command, env=path, capture_output=True, text=True, check=False)

    def is_as_before(self) -> bool:
        left = [path for path in self.systemd.rglob("*") if not path.is_dir()]
        return self.to.read_text() == _OWN and left == [] and list(self.to.parent.iterdir()) == [self.to]


@pytest.fixture
def host(tmp_path: Path) -> _Host:
    return _Host(tmp_path)


def test_the_gateway_is_pointed_nowhere_once_nothing_is_in_work_and_back_afterwards(host: _Host) -> None:
    ran = host.run(f'cat "$TO"; cat {host.folder}/active; ls {host.systemd}')
    assert ran.stdout.split("\n") == [
        f"version_info: {HELD}",
        "resources:",
        f"  - socket_address: {NOWHERE}",
        "0",  # what was in work has ended
        "multi-user.target.wants",
        "sealift-unhold.service",
        "",
    ]
    assert (ran.returncode, ran.stderr, host.is_as_before()) == (0, "", True)


@pytest.mark.parametrize(
    ("commands", "code"),
    [("exit 3", 3), ("false", 1), ("kill -TERM $$; sleep 9", 1), ("kill -HUP $$; sleep 9", 1)],
)
def test_it_is_pointed_back_however_the_lines_end(host: _Host, commands: str, code: int) -> None:
    assert host.run(commands).returncode == code
    assert host.is_as_before()


def test_where_the_lines_are_killed_a_timer_starts_that_unit(host: _Host) -> None:
    host.run("kill -KILL $$")
    told = (host.folder / "told").read_text().splitlines()
    assert told[-1] == "systemd-run --quiet --on-active=125 --unit=sealift-unhold"
    host.run("true")  # the next one takes the place of the timer that is left
    told = (host.folder / "told").read_text().splitlines()[len(told) :]
    assert told == [
        "systemctl is-active --quiet sealift-unhold.timer",
        "systemctl stop sealift-unhold.timer",
        "systemd-run --quiet --on-active=125 --unit=sealift-unhold",
        "systemctl stop --quiet sealift-unhold.timer",
    ]


def test_no_wait_goes_by_a_clock_that_somebody_may_set(host: _Host) -> None:
    date = host.folder / "bin/date"
    date.write_text("#!/bin/sh\necho 9\n")  # a clock that stands still
    date.chmod(0o755)
    docker = host.folder / "bin/docker"
    docker.write_text(docker.read_text().replace(f"echo 0 >{host.folder}/active", ":"))
    assert host.run("echo replaced", Hold(1)).stdout == "replaced\n"


def test_after_a_power_cut_a_unit_points_it_back_and_is_gone(host: _Host) -> None:
    assert host.run("kill -KILL $$").returncode == -signal.SIGKILL
    assert NOWHERE in host.to.read_text()
    unit = host.systemd / "sealift-unhold.service"
    assert (host.systemd / "multi-user.target.wants" / unit.name).resolve() == unit
    line = next(line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    subprocess.run(("sh", "-c", line.removeprefix("ExecStart=")), check=True)
    assert host.is_as_before()


def test_answers_that_do_not_end_are_waited_for_as_long_as_is_said(host: _Host) -> None:
    (host.folder / "active").write_text("1")
    (host.folder / "active").chmod(0o444)
    docker = host.folder / "bin/docker"
    docker.write_text(docker.read_text().replace(f"echo 0 >{host.folder}/active", ":"))
    assert host.run("echo replaced", Hold(1)).stdout == "replaced\n"


def test_without_a_gateway_that_runs_nothing_is_held(host: _Host) -> None:
    (host.folder / "stopped").touch()
    assert host.run('cat "$TO"').stdout == _OWN
    assert held(None, "true") == "true"


def test_a_site_that_holds_nothing_has_no_hold() -> None:
    paths = {"certificate": "x", "key": "x", "ca": "x"}
    assert hold_of(site_settings(gateway={**paths, "hold_s": 0}).gateway) is None
    assert hold_of(site_settings(gateway={**paths, "finish_s": 7}).gateway) == Hold(7)
