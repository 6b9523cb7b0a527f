"""The Python environment of a deployment: the release's wheels, by the release's own pip."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from sealift.errors import SealiftError
from sealift.files import write_atomically
from sealift.install.commands import require, run
from sealift.install.content import ControlPart, Copy
from sealift.processes import WITH_US

_MARK = "installed"
_WHEEL = 6  # times its bytes a wheel takes: itself, and installed and compiled, for 30 MB became 143 MB


def deployment_folder(to: Path, control: ControlPart) -> Path:
    """Where a deployment is: named by all that goes into it, so that nothing is changed in one that is whole.

    + to: folder of all that is sealift's on the control node
    """
    return to / "deployments" / control.python[:16]


def is_made(control: ControlPart, deployment: Path) -> bool:
    """Whether a deployment has its environment, whole."""
    mark = deployment / ".venv" / _MARK
    return mark.exists() and mark.read_bytes() == control.python.encode()


def room_for(control: ControlPart) -> int:
    """Bytes that copies of packages and wheels and the environment take."""
    debs = sum(package.deb.size for package in control.packages)
    return debs + sum(wheel.size for wheel in control.wheels) * _WHEEL


def make_environment(control: ControlPart, copy: Copy, deployment: Path) -> bool:
    """Make a deployment's `.venv` with sealift in it, and say whether there was anything to do.

    Its mark, which names all that went into it, is written last: without the mark it is made anew.

    + copy: gets wheels and requirements
    + deployment: folder of the unpacked code

    Raises SealiftError in pip's words.
    """
    environment = deployment / ".venv"
    if is_made(control, deployment):
        return False
    shutil.rmtree(environment, ignore_errors=True)
    # The system's Python, also where a deployment's own is running now.
    python = Path(sys.base_prefix) / "bin/python3"
    _run([str(python), "-I", "-m", "venv", "--without-pip", str(environment)], "venv")
    wheels = environment / "wheels"
    wheels.mkdir()
    for item in (*control.wheels, control.requirements):
        copy(item, wheels / item.name)
    _pip(environment, "--require-hashes", "-r", str(wheels / control.requirements.name))
    _pip(environment, "--no-deps", "--no-build-isolation", "--editable", str(deployment))
    shutil.rmtree(wheels)
    os.sync()  # a power cut must not leave the mark without the rest
    write_atomically(environment / _MARK, control.python.encode())
    return True


def _pip(environment: Path, *arguments: str) -> None:
    """Install by the pip that is in its wheel: a wheel is an archive that Python runs. Source: pip(1)."""
    wheels = environment / "wheels"
    pip = next(wheels.glob("pip-*.whl"), None)
    if pip is None:
        raise SealiftError("lock: has no wheel of pip, expected one. Add it to the requirements; lock again.")
    python = (str(environment / "bin/python"), "-I", f"{pip}/pip", "--isolated", "--no-input", "--quiet")
    options = ("--disable-pip-version-check", "--no-cache-dir")
    _run([*python, "install", *options, "--no-index", f"--find-links={wheels}", *arguments], "pip")


def _run(command: list[str], what: str) -> None:
    # PIP_CONFIG_FILE: no configuration of the machine's counts. Source: pip's documentation, "Configuration".
    require(
        run([*WITH_US, *command], {"PIP_CONFIG_FILE": os.devnull}),
        what,
        "sealift's Python environment",
        "Run the command again; if it says the same, have the release locked and built again.",
    )
