"""Plain files out of the host store: whole or as before, and gone when no release has them any more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import FunctionCommand, operation

from sealift.blob import Blob
from sealift.facts.files import FileList, PlainFile, Standing
from sealift.host_paths import BLOBS, FILES
from sealift.operations.refusal import refusal
from sealift.release.values import TARGETS

_OURS = re.compile(rf"({'|'.join(TARGETS)})[A-Za-z0-9_][A-Za-z0-9._+/-]*")


@operation()
def file_placed(target: str, mode: str, blob: Blob) -> Generator[str | FunctionCommand, None, None]:
    """Have a file of root's with exactly the content of a blob of the host store.

    It is a copy: a link would give the blob the file's mode, and whoever wrote to it would write to the blob.

    + target: absolute, on the host; its folder is made if needed
    + mode: permissions, octal
    + blob: what the host store has
    """
    standing = host.get_fact(PlainFile, path=target)
    if standing == Standing("f", "0:0", mode.lstrip("0"), blob.hex):
        return
    if standing is not None and standing.kind == "d":
        yield refusal(f"{host.name}: {target} is a folder, expected a file or nothing. Move it away.")
        return
    yield "\n".join(placing(target, mode, blob))


def placing(target: str, mode: str, blob: Blob) -> tuple[str, ...]:
    """The script that copies, checks and renames; nothing but a whole file ever has the name."""
    new, folder = f"{target}.sealift-new", target.rpartition("/")[0]
    return (
        "set -e",
        "umask 022",
        f"mkdir -p {folder}",
        f"install -T -o root -g root -m {mode} {BLOBS}/{blob.hex} {new}",
        f"echo '{blob.hex}  {new}' | sha256sum --check --quiet -",
        f"sync {new}",
        f"mv -T {new} {target}",
        f"sync {folder}",
    )


@operation()
def files_listed(targets: tuple[str, ...]) -> Generator[str, None, None]:
    """Have files listed before they are placed, so that a release without them knows what to remove.

    + targets: where they will stand
    """
    listed: list[str] = host.get_fact(FileList)
    if not set(targets) <= set(listed):
        yield _write({*listed, *targets})


@operation()
def only_files(targets: tuple[str, ...]) -> Generator[str, None, None]:
    """Have no files that a former release placed and this one does not have.

    + targets: where this one's stand
    """
    listed: list[str] = host.get_fact(FileList)
    stale = set(listed) - set(targets)
    if stale:
        removed = (f"rm -f -- {shlex.quote(path)}" for path in sorted(stale) if is_ours(path))
        yield "\n".join(("set -e", *removed, _write(targets)))


def is_ours(path: str) -> bool:
    """Whether a listed path is one that a release may name; whatever else stands there is left alone."""
    return _OURS.fullmatch(path) is not None and not {"", ".", ".."} & set(path[1:].split("/"))


def _write(targets: Iterable[str]) -> str:
    lines = " ".join(shlex.quote(path) for path in sorted(targets))
    listing = f"printf '%s\\n' {lines}" if lines else ":"
    folder = FILES.rpartition("/")[0]
    return (
        f"umask 022 && mkdir -p {folder} && {listing} > {FILES}.new && sync {FILES}.new && "
        f"mv -T {FILES}.new {FILES} && sync {folder}"
    )
