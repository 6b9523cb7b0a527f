"""Labs for measurements: brought up, given a release, taken down."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from sealift.errors import SealiftError
from sealift.lab.layout import Lab

_ROLE = "embed"
CHECKOUT = Path(__file__).parents[1]
SEALIFT = (sys.executable, "-m", "sealift")


def parser(name: str, hosts: int, rounds: int, work: str) -> argparse.ArgumentParser:
    """The options that measurements on a lab have, and the defaults of one.

    + work: the folder's name
    """
    made = argparse.ArgumentParser(prog=f"python -m bench.{name}", description="Measure on a lab.")
    made.add_argument("--hosts", type=int, default=hosts, help="of the lab")
    made.add_argument("--rounds", type=int, default=rounds, help="runs of each")
    made.add_argument("--work", type=Path, default=Path("build", work), help="folder to write below")
    made.add_argument(
        "--sources", type=Path, default=Path("build/ingredients"), help="the demo's ingredients"
    )
    return made


def environment(lab: Lab) -> dict[str, str]:
    """In which commands work on this lab."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SEALIFT_LAB": str(lab.state)}


def run_in(lab: Lab, *command: str) -> None:
    """Run a command of sealift. Raises SealiftError where it fails."""
    print("+", *command, file=sys.stderr, flush=True)
    words = [*SEALIFT, *command[1:]]
    ran = subprocess.run(
        words, env=environment(lab), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=sys.stderr
    )
    if ran.returncode != 0:
        raise SealiftError(f"{' '.join(command)}: exit code {ran.returncode}, expected 0. See above.")


@contextmanager
def lab_up(work: Path, hosts: int) -> Iterator[Lab]:
    """A lab of bare hosts, in a folder that is made anew and gone afterwards."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    lab = Lab(work / "lab")
    try:
        run_in(lab, "sealift", "lab", "up", "--hosts", str(hosts), "--no-control")
        yield lab
    finally:
        run_in(lab, "sealift", "lab", "down")
        shutil.rmtree(work, ignore_errors=True)


def deployed(work: Path, sources: Path, lab: Lab) -> Path:
    """The lab's inventory, once its hosts run the release."""
    site = prepared(work, sources, lab)
    run_in(lab, "sealift", "apply", str(site))
    return site


def prepared(work: Path, sources: Path, lab: Lab) -> Path:
    """The lab's inventory, whose depot has the demo's release but for the model that answers chat.

    Each host would have that one in memory.
    """
    release = yaml.safe_load((CHECKOUT / "releases/demo.yaml").read_text())
    role = release["roles"][_ROLE]
    release |= {"name": "fleet", "roles": {_ROLE: role}}
    release["models"] = {role["model"]: release["models"][role["model"]]}
    (work / "fleet.yaml").write_text(yaml.safe_dump(release))
    lock, bundle, from_there = work / "fleet.lock", work / "bundle", ("--sources", str(sources))
    run_in(lab, "sealift", "lock", str(work / "fleet.yaml"), *from_there, "--out", str(lock))
    key = ("--key", str(lab.state / "release_key"))
    run_in(lab, "sealift", "build", str(lock), *from_there, *key, "--out", str(bundle))
    trust = ("--allowed-signers", str(lab.state / "allowed_signers"))
    run_in(lab, "sealift", "import", str(bundle), "--depot", str(lab.depot), *trust)
    site = work / "fleet/fleet.py"
    shutil.copytree(CHECKOUT / "inventories/lab", site.parent)
    (site.parent / "lab.py").rename(site)
    settings = site.parent / "group_data/all.py"
    settings.write_text(f"{settings.read_text()}\nrelease = 'fleet:{release['version']}'\n")
    return site
