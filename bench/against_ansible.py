"""A run that changes nothing, over real hosts of a lab, against Ansible: `python -m bench.against_ansible`.

Both get the very same hosts, in turn, round by round. Ansible runs bench/ansible/site.yml, which has for each
thing that sealift looks at the module that is made for it, set up for speed: pipelining, no facts, as many
forks as hosts, connections that stay open. Hosts of sealift have no Python; for Ansible they get Debian's,
which costs sealift nothing. Ansible comes from PyPI, in an environment of its own.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import yaml

from bench.on_lab import deployed, environment, lab_up, parser
from demo.images import debian_root
from sealift.errors import SealiftError
from sealift.lab.layout import Lab

_HERE = Path(__file__).parent
_PYTHON = ("python3", "python3-apt", "python3-requests", "python3-yaml", "python3-packaging")
_OF_PYTHON = (
    "./usr/bin/python3*",
    "./usr/lib/python3*",
    "./usr/lib/x86_64-linux-gnu/*.so*",
    "./usr/share/python*",
)
_TAKEN = """
set -eu; mkdir -p /tmp/of && cd /tmp/of
mkdir -p apt/sources.list.d apt/keyrings generation manifests
cp /etc/apt/sources.list.d/sealift.sources apt/sources.list.d/
cp /etc/apt/keyrings/sealift.asc apt/keyrings/
cp /etc/docker/daemon.json /etc/containerd/config.toml /usr/local/share/doc/ollama/LICENSE .
cp -a /var/lib/sealift/current/. generation/
cp -a /var/lib/sealift/models/manifests/. manifests/
tar -cf - . && rm -rf /tmp/of
"""


def main() -> int:
    """Run as a command; returns the exit status."""
    made = parser("against_ansible", 8, 5, "bench-ansible")
    made.add_argument("--ansible", type=Path, default=Path("build/ansible-venv"), help="its environment")
    options = made.parse_args()
    work, ansible = options.work.resolve(), options.ansible.resolve()
    try:
        ansible_in(ansible)
        with lab_up(work, options.hosts) as lab:
            site = deployed(work, options.sources, lab)
            compare(work, lab, site, ansible, options.hosts, options.rounds)
    except (SealiftError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def ansible_in(folder: Path) -> None:
    """Have an environment with Ansible, from PyPI."""
    if not (folder / "bin/ansible-playbook").exists():
        subprocess.run((sys.executable, "-m", "venv", folder), check=True)
        subprocess.run((folder / "bin/pip", "install", "--quiet", "ansible==12.*"), check=True)


def compare(work: Path, lab: Lab, site: Path, ansible: Path, hosts: int, rounds: int) -> None:
    """Measure both on a lab whose hosts are as their inventory says, and print a table.

    + work: a folder to write below
    + site: the inventory
    + ansible: an environment that has it
    """
    names = [f"h{number}" for number in range(1, hosts + 1)]
    give_python(work, lab, names)
    _write(work, lab, names)
    play = (ansible / "bin/ansible-playbook", "-i", work / "hosts.yml", _HERE / "ansible/site.yml")
    sealift = (sys.executable, "-m", "sealift")
    commands: dict[str, Sequence[object]] = {
        "ansible-playbook": play,
        "sealift rollout": (*sealift, "rollout", site),
        "sealift apply": (*sealift, "apply", site),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            seconds = timed(name, command, lab, work)
            if number:  # the first of each fills caches
                took[name].append(seconds)
    _tell(hosts, took)


def give_python(work: Path, lab: Lab, names: Sequence[str]) -> None:
    """What Ansible needs on its hosts, and hosts of sealift do not have."""
    root = debian_root(work, _PYTHON)
    some = work / "python.tar"
    folder = work / "python"
    folder.mkdir()
    subprocess.run(("tar", "-C", folder, "--wildcards", "-xf", root, *_OF_PYTHON), check=True)
    subprocess.run(("tar", "-C", folder, "-cf", some, "."), check=True)
    for name in names:
        with some.open("rb") as archive:
            on_host(lab, name, "tar -C / --skip-old-files -xf -", archive)


def on_host(lab: Lab, name: str, script: str, given: IO[bytes] | None = None) -> bytes:
    """Run a script as root; gives what it printed."""
    as_root = f"sudo -n sh -c {shlex.quote(script)}" if name == "h2" else script
    command = ("ssh", "-F", str(lab.state / "ssh_config"), name, as_root)
    stdin = given or subprocess.DEVNULL
    return subprocess.run(command, check=True, stdin=stdin, stdout=subprocess.PIPE).stdout


def _write(work: Path, lab: Lab, names: Sequence[str]) -> None:
    """What the playbook needs: the hosts, what each has, and copies of its files."""
    hosts = {}
    for name in names:
        folder = work / "files" / name
        folder.mkdir(parents=True)
        taken = on_host(lab, name, _TAKEN)
        subprocess.run(("tar", "-C", folder, "-xf", "-"), input=taken, check=True)
        images = said_by(lab, name, "docker images --no-trunc --format {{.Repository}}:{{.Tag}}={{.ID}}")
        listed = said_by(lab, name, "dpkg-query -W docker.io docker-cli docker-compose iptables")
        hosts[name] = {
            "ansible_become": name == "h2",
            "generation": Path(said_by(lab, name, "readlink -f /var/lib/sealift/current")[0]).name,
            "packages": ["=".join(line.split()) for line in listed],
            "images": [dict(zip(("name", "id"), image.rsplit("=", 1), strict=True)) for image in images],
            "weights": said_by(lab, name, "ls /var/lib/sealift/models/blobs"),
            "services": sorted(path.parent.name for path in folder.glob("generation/*/compose.yaml")),
        }
    config = str(lab.state / "ssh_config")
    values = {
        "files": str(work / "files"),
        "ansible_ssh_common_args": f"-F {config} -o ControlMaster=auto -o ControlPersist=60s",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (work / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": values}}))


def said_by(lab: Lab, name: str, script: str) -> list[str]:
    """The lines that a script printed."""
    return on_host(lab, name, script).decode().splitlines()


def timed(
    name: str, command: Sequence[object], lab: Lab, work: Path, may_change: bool = False
) -> tuple[float, float]:
    """Seconds that a run took, and of processor time, of it and its children.

    + may_change: whether it is one that may change something

    Raises SealiftError where it fails, or Ansible changes what should have stayed.
    """
    settings = {
        "ANSIBLE_FORKS": "50",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_STDOUT_CALLBACK": "json",
        "ANSIBLE_HOME": str(work / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    said = work / "said"
    started = time.monotonic()
    with said.open("w") as out:
        child = subprocess.Popen(
            [str(part) for part in command],
            env={**environment(lab), **settings},
            cwd=_HERE.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(child.pid, 0)
    seconds, child.returncode = time.monotonic() - started, os.waitstatus_to_exitcode(status)
    text = said.read_text()
    if child.returncode:
        raise SealiftError(f"{name}: exit code {child.returncode}:\n{_failures(text) or text[-3000:]}")
    if not may_change and name.startswith("ansible") and (changed := _changed(text)):
        raise SealiftError(f"{name}: changed {changed}, expected nothing to change.")
    print(f"{name}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return seconds, usage.ru_utime + usage.ru_stime


def _failures(said: str) -> str:
    """Which tasks of a playbook failed, a line each; empty where it told of none."""
    if "{" not in said:
        return ""
    tasks = (task for play in json.loads(said[said.index("{") :])["plays"] for task in play["tasks"])
    results = ((task["task"]["name"], *of) for task in tasks for of in task["hosts"].items())
    return "\n".join(
        f"{host}: {task}: {each.get('item', '')} {each.get('msg')}"
        for task, host, found in results
        for each in found.get("results", [found])
        if each.get("failed")
    )


def _changed(said: str) -> dict[str, int]:
    stats = json.loads(said[said.index("{") :])["stats"]
    return {host: of["changed"] for host, of in stats.items() if of["changed"]}


def _tell(hosts: int, took: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    baseline = took["ansible-playbook"]
    print("| hosts | nothing changes | runs | median | least to most | processor | Ansible takes, times |")
    print("|---|---|---|---|---|---|---|")
    for name, runs in took.items():
        walls = sorted(wall for wall, _ in runs)
        ratios = [theirs[0] / ours[0] for theirs, ours in zip(baseline, runs, strict=True)]
        print(
            f"| {hosts} | `{name}` | {len(runs)} | {statistics.median(walls):.2f} s | {walls[0]:.2f} to "
            f"{walls[-1]:.2f} s | {statistics.median(cpu for _, cpu in runs):.2f} s | "
            f"{statistics.median(ratios):.1f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
