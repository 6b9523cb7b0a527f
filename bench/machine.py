"""What machine the figures are of."""

from __future__ import annotations

import platform
import ssl
import subprocess
from pathlib import Path

from bench.measured import CORES


def describe(work: Path) -> str:
    """A sentence about processor, memory, disk and software, without any name or path of the machine.

    + work: the folder that is written to
    """
    lines = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0].splitlines()
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    model = about.get("model name", platform.machine())
    instructions = "with" if "sha_ni" in about.get("flags", "").split() else "without"
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    gib = round(int(memory.split()[1]) / (1 << 20))
    disk = _said("findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(work))
    virtual = subprocess.run(
        ("systemd-detect-virt",), capture_output=True, text=True, check=False
    ).stdout.strip()
    kind = "" if virtual in ("", "none") else f", a virtual machine ({virtual})"
    return (
        f"{model}, {CORES} cores {instructions} SHA extensions, {gib} GiB of memory, {disk}{kind}; "
        f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}, "
        f"{' '.join(ssl.OPENSSL_VERSION.split()[:2])}"
    )


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
