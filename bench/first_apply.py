"""The first full apply of bare hosts of a lab, against Ansible: `python -m bench.first_apply`.

Both get bare hosts of the same make, in turn, round by round: packages, images, weights and configuration go
to each, and services come up. Ansible runs bench/ansible/first.yml with the files that sealift made for the
same hosts, set up for speed as in bench/against_ansible.py. It is not asked to verify anything that it ships.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

from bench.against_ansible import ansible_in, give_python, on_host, said_by, timed
from bench.on_lab import lab_up, parser, prepared
from sealift.errors import SealiftError
from sealift.lab.layout import Lab
from sealift.services import SERVICES

_HERE = Path(__file__).parent
# What is shipped on its own, and what only sealift needs.
_NOT_STATE = ("blobs", "repositories", "models/blobs")
_STATE = (
    "cd / && tar -cf - --ignore-failed-read "
    f"{' '.join(f'--exclude=var/lib/sealift/{each}' for each in _NOT_STATE)} "
    "var/lib/sealift etc/docker/daemon.json etc/containerd/config.toml $(ls -d etc/cdi 2>/dev/null) "
    "usr/local/share/doc/ollama"
)
_PACKAGES = "cut -d' ' -f1 /var/lib/sealift/packages | xargs dpkg-query -W -f '${Package}=${Version}\\n'"
# But those that Compose makes of a project's file itself.
_NETWORKS = (
    "docker network ls -q --filter name=sealift | xargs docker network inspect -f "
    "'{{if not (index .Labels \"com.docker.compose.network\")}}{{.Name}}={{.Internal}}{{end}}' | grep ."
)


def main() -> int:
    """Run as a command; returns the exit status."""
    made = parser("first_apply", 4, 3, "bench-first")
    made.add_argument("--ansible", type=Path, default=Path("build/ansible-venv"), help="its environment")
    options = made.parse_args()
    work, ansible = options.work.resolve(), options.ansible.resolve()
    took: dict[str, list[float]] = {"ansible-playbook": [], "sealift apply": []}
    shutil.rmtree(work, ignore_errors=True)
    try:
        ansible_in(ansible)
        for number in range(options.rounds):
            folder = work / str(number)
            folder.mkdir(parents=True)
            with lab_up(folder / "of", options.hosts) as lab:
                site = prepared(folder / "of", options.sources, lab)
                command = (sys.executable, "-m", "sealift", "apply", site)
                took["sealift apply"].append(timed("sealift apply", command, lab, folder, True)[0])
                inventory = _taken(folder, lab, options.hosts)
            with lab_up(folder / "of", options.hosts) as lab:
                give_python(folder, lab, list(inventory))
                hosts = folder / "hosts.yml"
                values = {"files": str(folder / "files"), **_reached(lab)}
                hosts.write_text(yaml.safe_dump({"all": {"hosts": inventory, "vars": values}}))
                play = (ansible / "bin/ansible-playbook", "-i", hosts, _HERE / "ansible/first.yml")
                took["ansible-playbook"].append(timed("ansible-playbook", play, lab, folder, True)[0])
            shutil.rmtree(folder)
    except (SealiftError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    _tell(options.hosts, took)
    return 0


def _reached(lab: Lab) -> dict[str, str]:
    return {
        "ansible_ssh_common_args": f"-F {lab.ssh_config} -o ControlMaster=auto -o ControlPersist=60s",
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _taken(folder: Path, lab: Lab, hosts: int) -> dict[str, dict[str, object]]:
    """The hosts of Ansible's inventory, with copies of all that it is to bring there."""
    found: dict[str, dict[str, object]] = {}
    for name in (f"h{number}" for number in range(1, hosts + 1)):
        of = folder / "files" / name
        (of / "apt/keyrings").mkdir(parents=True)
        (of / "apt/sources.list.d").mkdir()
        for path in ("keyrings/sealift.asc", "sources.list.d/sealift.sources"):
            (of / "apt" / path).write_bytes(on_host(lab, name, f"cat /etc/apt/{path}"))
        _kept(of / "state.tar", lab, name, _STATE)
        _kept(of / "repositories.tar", lab, name, "tar -C /var/lib/sealift -ch repositories")
        ids = said_by(lab, name, "docker images --format {{.Repository}}:{{.Tag}}")
        weights = said_by(lab, name, "ls /var/lib/sealift/models/blobs")
        for image in ids:
            _kept(folder / f"files/{Path(image).name}.tar", lab, name, f"docker save {image}")
        (folder / "files/weights").mkdir(exist_ok=True)
        for blob in weights:
            _kept(folder / "files/weights" / blob, lab, name, f"cat /var/lib/sealift/models/blobs/{blob}")
        running = set(said_by(lab, name, "ls -d /var/lib/sealift/current/*/compose.yaml | xargs dirname"))
        services = [each.name for each in SERVICES]
        networks = (line.split("=") for line in said_by(lab, name, _NETWORKS))
        found[name] = {
            "ansible_become": name == "h2",
            "packages": said_by(lab, name, _PACKAGES),
            "images": [{"name": image} for image in ids],
            "weights": weights,
            "services": [each for each in services if f"/var/lib/sealift/current/{each}" in running],
            "networks": [{"name": network, "internal": inner == "true"} for network, inner in networks],
        }
    return found


def _kept(path: Path, lab: Lab, name: str, script: str) -> None:
    if not path.exists():
        path.write_bytes(on_host(lab, name, script))


def _tell(hosts: int, took: dict[str, list[float]]) -> None:
    baseline = took["ansible-playbook"]
    print("| bare hosts | runs | median | least to most | Ansible takes, times |\n|---|---|---|---|---|")
    for name, runs in took.items():
        ratios = [theirs / ours for theirs, ours in zip(baseline, runs, strict=True)]
        print(
            f"| {hosts}: `{name}` | {len(runs)} | {statistics.median(runs):.1f} s | {min(runs):.1f} to "
            f"{max(runs):.1f} s | {statistics.median(ratios):.1f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
