"""A bare Debian in which START.py runs: no init, and no network but a loopback that is down."""

from __future__ import annotations

import os
from pathlib import Path

from sealift.cache import cache_folder
from sealift.lab.root import CONTROL_PACKAGES, DebianSuite, ensure_root
from sealift.progress import silent
from tests.lab.commands import Commands, Ran

START = "python3 -I /media/sealift/START.py --allowed-signers /root/allowed_signers --to /srv/sealift"
_NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private")
_ENTER = """\
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mkdir -p "$2/root/media/sealift" "$2/root/run" "$2/root/srv/sealift"
mount --bind -o ro "$3" "$2/root/media/sealift"
mount -t proc proc "$2/root/proc"
mount --bind /dev "$2/root/dev"
cp "$4" "$2/root/root/"
exec chroot "$2/root" sh -ec "$5"
"""


def in_bare_debian(commands: Commands, suite: DebianSuite, work: Path, media: Path, script: str) -> Ran:
    """Run a script as root in a Debian of its own, which must succeed. It trusts whom the lab trusts.

    + work: an empty folder, where what it writes goes
    + media: folder that it finds as /media/sealift
    """
    for name in ("upper", "work", "root"):
        (work / name).mkdir()
    root = ensure_root(cache_folder(os.environ) / "roots", suite, CONTROL_PACKAGES, silent)
    given = (root, work, media, commands.lab / "allowed_signers", script)
    return commands.ok(*_NAMESPACES, "sh", "-ec", _ENTER, "bare", *given)
