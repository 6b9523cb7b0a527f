"""A host's store of blobs. The bytes go around pyinfra: `sealift.ship` takes them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

from pyinfra import host, logger
from pyinfra.api import FunctionCommand, Host, State, StringCommand, operation

from sealift.blob import Blob
from sealift.facts.host_store import HostStore, Root, StoreAccess
from sealift.host.root import make_root
from sealift.processes import WITH_US
from sealift.ship.plan import parse_listing, plan
from sealift.ssh import Ssh


@operation()
def root_linked(data_folder: str) -> Generator[str, None, None]:
    """Have sealift's folder lie where the site wants it, by a link; without a data folder it makes itself.

    + data_folder: the setting
    """
    if data_folder and host.get_fact(Root) != f"{data_folder}/sealift":
        yield make_root(data_folder)


@operation()
def store_guarded() -> Generator[StringCommand, None, None]:
    """Have nobody but root change the host store, but for folders of containers, and let apt read it.

    The paths are foreign and may be many: they travel over standard input.
    """
    wrong = host.get_fact(StoreAccess)
    for right in sorted({to_be for _, to_be in wrong.values()}):
        paths = [path for path, (_, to_be) in wrong.items() if to_be == right]
        mend = shlex.quote(f'chown {right.owner} -- "$@" && chmod {right.mode} -- "$@"')
        yield StringCommand(f"xargs -d '\\n' sh -c {mend} sealift", _stdin=paths)


@operation()
def blobs_present(
    wanted: tuple[Blob, ...], ssh: Ssh, depot: Path, release: str, groups: frozenset[str]
) -> Generator[FunctionCommand, None, None]:
    """Have all blobs of a release in the host store, each verified there.

    + wanted: the blobs, for the plan
    + ssh: how the host is reached
    + depot: folder that the blobs come from
    + release: NAME@sha256:DIGEST
    + groups: the host's, which decide what it needs of the release
    """
    listing: list[str] = host.get_fact(HostStore)
    needed = plan(wanted, parse_listing(host.name, listing))
    if needed.items or needed.check:
        # Killed together with pyinfra, or the next run would wait for it.
        command = [*WITH_US, sys.executable, "-m", "sealift.ship", "--host", host.name]
        command += ["--ssh-config", str(ssh.config), *(["--sudo"] if ssh.sudo else []), "--depot", str(depot)]
        command += ["--release", release, "--groups", ",".join(sorted(groups))]
        yield FunctionCommand(_ship, (command,), {})


def _ship(state: State, host: Host, command: list[str]) -> bool:
    """Ship in a process of its own. Waiting for it lets the other hosts go on: pyinfra patches subprocess."""
    shipped = subprocess.run(command, capture_output=True, text=True, cwd=state.cwd, check=False)
    for line in (shipped.stdout + shipped.stderr).splitlines():
        logger.info("%s%s", host.print_prefix, line)
    return shipped.returncode == 0
