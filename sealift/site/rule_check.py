"""A site's own alert rules, judged before any host sees them: by the promtool of the release itself.

It lies in the release's image of Prometheus, in the depot. So the judge is the one that hosts have, and the
control node needs nothing installed. It comes from elsewhere, though: it gets the rules over standard input,
no network, and as root's it is nobody.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from sealift.content import Content, verify
from sealift.depot.store import Depot
from sealift.errors import SealiftError, one_line
from sealift.files import read_limited
from sealift.oci.tarball import Tarball
from sealift.processes import WITH_US
from sealift.release.locked import LockedImage
from sealift.services import PROMETHEUS
from sealift.site.inventory import Host

RULES_LIMIT = 1 << 20  # bytes
_PROMTOOL = ("usr/bin/promtool", "bin/promtool")  # Debian's image, and upstream's
_PATIENCE_S = 60
# No gain of rights from here on; 65534 is nobody, and nogroup. Sources: setpriv(1), unshare(1).
_AS_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs", "--")
# What walls promtool in, the most of it first; a container's root, and users on some systems, get no network
# of their own.
_ROOTS_WALLS = (("unshare", "--net", "--", *_AS_NOBODY), _AS_NOBODY)
_USERS_WALLS = (("unshare", "--user", "--net", "--"), ())
_SHOWN = 20  # lines of what promtool says


class NoPromtoolError(SealiftError):
    """There is none that runs here, so nobody has judged the rules."""


def rule_problems(hosts: Sequence[Host]) -> tuple[list[str], list[str]]:
    """What is wrong with the rules of hosts that watch, and what nobody could judge here, a line each."""
    problems: list[str] = []
    warnings: list[str] = []
    for host in hosts:
        settings = host.settings
        try:
            lock = Depot(settings.depot).resolve(settings.release).lock
            if settings.monitoring.rules and PROMETHEUS in lock.release.services_for(host.groups):
                judge_rules(
                    settings.monitoring.rules, Depot(settings.depot), lock.images[PROMETHEUS.image_name]
                )
        except NoPromtoolError as error:
            warnings.append(str(error))
        except SealiftError as error:
            problems += str(error).splitlines()
    return problems, warnings


def judge_rules(rules: Path, depot: Depot, image: LockedImage) -> None:
    """Have the promtool of an image judge a file of rules.

    + rules: a site's own
    + image: of Prometheus, whose layers lie in the depot

    Raises SealiftError with promtool's words where they are wrong, NoPromtoolError where none runs here.
    """
    content = read_limited(rules, RULES_LIMIT)
    with tempfile.TemporaryDirectory(prefix="sealift-promtool-") as folder:
        Path(folder).chmod(0o711)  # nobody runs what lies there
        promtool = _unpacked(depot, image, Path(folder, "promtool"))
        walls = _walls()
        if _run(walls, str(promtool), "--version").returncode:
            raise NoPromtoolError(
                f"{rules}: not judged here: the promtool of {image.name} does not run. Hosts judge them."
            )
        ran = _run(walls, str(promtool), "check", "rules", "--lint=none", given=content)
    if ran.returncode:
        said = (
            one_line(line.strip()) for line in (ran.stdout + ran.stderr).decode(errors="replace").split("\n")
        )
        lines = [line for line in said if line and not line.startswith(("Checking", "FAILED:"))]
        raise SealiftError(
            "\n".join(f"{rules}: promtool: {line}" for line in lines[:_SHOWN] or ["says nothing"])
            + f"\n{rules}: is refused. Correct it, or take it out of monitoring.rules."
        )


def _unpacked(depot: Depot, image: LockedImage, target: Path) -> Path:
    """The promtool of an image, out of the first layer from above that has it, whose hash is checked."""
    for blob in reversed(image.layers):
        path = depot.blob_path(blob.digest)
        layer = Tarball(path, of_root=True)
        name = next((name for name in _PROMTOOL if name in layer.names()), None)
        if name:
            verify(Content(path, 0, blob.size), blob, f"layer of {image.name}", lambda _: None)
            _write(layer.find(name).chunks(), target)
            return target
    raise NoPromtoolError(
        f"{image.name}: has no promtool, so rules are not judged here. Prometheus judges them when it starts."
    )


def _write(chunks: Iterable[bytes], target: Path) -> None:
    with target.open("xb") as file:
        file.writelines(chunks)
    target.chmod(0o755)


def _walls() -> Sequence[str]:
    """What the command is put behind here. Tried with another one, since promtool is not to choose."""
    every = _USERS_WALLS if os.geteuid() else _ROOTS_WALLS
    return next((walls for walls in every if _run(walls, "true").returncode == 0), every[-1])


def _run(walls: Sequence[str], *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = (*walls, *WITH_US, *words)  # a change of the user would undo WITH_US
    try:
        return subprocess.run(
            command, input=given, env={}, cwd="/", capture_output=True, check=False, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, b"", f"no answer within {_PATIENCE_S} s".encode())
