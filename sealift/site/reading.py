"""Where inventories are, and pyinfra reading one of them.

It takes half a second, in which a command that has begun it at once can get ready. So this imports little.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError

# The pyinfra of this very Python environment.
PYINFRA = (sys.executable, "-m", "pyinfra")


def sites_folder(environment: Mapping[str, str]) -> Path:
    """Where a site's own inventories are: SEALIFT_SITES, else /etc/sealift/sites."""
    return Path(environment.get("SEALIFT_SITES") or "/etc/sealift/sites").absolute()


def inventory_path(name: str, sites: Path | None = None) -> Path:
    """The file of an inventory.

    + name: a path of a file or a folder; or a short name: `acme` is `acme/acme.py` in the folder of the
      site's own inventories, or else among the examples in `inventories/` below the working directory
    + sites: the folder of the site's own inventories

    Raises SealiftError where there is no such file.
    """
    bases = (sites or sites_folder(os.environ), Path("inventories"))
    if "/" in name or name.endswith(".py"):
        path = Path(name)
        tried = [path / f"{path.resolve().name}.py" if path.is_dir() else path]
    else:
        tried = [base / name / f"{name}.py" for base in bases]
    for path in tried:
        if path.is_file():
            return path
    known = sorted({path.parent.name for base in bases for path in base.glob("*/*.py") if _is_own(path)})
    raise SealiftError(
        f"{' and '.join(map(str, tried))}: no such inventory, expected a path or one of: "
        f"{', '.join(known) or 'none'}. Make one: sealift init NAME --host HOST=ADDRESS"
    )


def _is_own(path: Path) -> bool:
    return path.stem == path.parent.name


@dataclass(frozen=True)
class Reading:
    """An inventory that is being read.

    + process: prints it
    """

    path: Path
    process: subprocess.Popen[bytes]


def begin_reading(name: str) -> Reading:
    """Begin to read an inventory.

    + name: its path or short name

    Raises SealiftError where there is no such file.
    """
    path = inventory_path(name)
    command = [*PYINFRA, str(path), "debug-inventory", "--json"]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    return Reading(path, subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=pipe))
