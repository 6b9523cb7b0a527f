"""Small text files and links on hosts, each changed by one rename."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import FunctionCommand, StringCommand, operation

from sealift.facts.text import Links, TextFile

Commands = Generator[str | StringCommand | FunctionCommand, None, None]


@operation()
def text_present(path: str, content: str, mode: str = "644") -> Commands:
    """Have a file of root's with exactly this text. Its folder is made if needed.

    + path: absolute, on the host
    + content: what it holds; it may be secret: it travels over standard input and is in no command
    + mode: permissions, octal; they hold from the first byte on
    """
    digest = hashlib.sha256(content.encode()).hexdigest()
    if host.get_fact(TextFile, path=path) == (digest, mode):
        return
    yield from put_text(path, content, mode)


def put_text(path: str, content: str, mode: str = "644", check: str | None = None) -> Commands:
    """Commands that write a file beside its place and move it there when it is whole.

    + check: a shell command that judges the file, `{file}` being its temporary name; the file stays out of
      its place unless it exits with 0
    """
    new = f"{path}.sealift-new"
    folder = shlex.quote(path.rpartition("/")[0])
    yield f"umask 022 && mkdir -p {folder} && install -m {mode} /dev/null {shlex.quote(new)}"
    encoded = base64.encodebytes(content.encode()).decode().splitlines()
    yield StringCommand(f"base64 -d > {shlex.quote(new)}", _stdin=encoded)
    if check is not None:
        yield check.format(file=shlex.quote(new))
    yield f"sync {shlex.quote(new)} && mv -T {shlex.quote(new)} {shlex.quote(path)} && sync {folder}"


@operation()
def text_absent(path: str) -> Commands:
    """Have no file here.

    + path: absolute, on the host
    """
    if host.get_fact(TextFile, path=path) is not None:
        yield f"rm -f {shlex.quote(path)}"


@operation()
def links_present(folder: str, links: Mapping[str, str]) -> Commands:
    """Have a folder with exactly these symbolic links in it.

    + folder: absolute, on the host; it is made if needed
    + links: name in the folder to what it points at
    """
    have = host.get_fact(Links, folder=folder)
    lines = [f"rm -rf -- {shlex.quote(name)}" for name in sorted(have.keys() - links.keys())]
    lines += [
        f"ln -sfnT {shlex.quote(target)} {shlex.quote(name)}"
        for name, target in sorted(links.items())
        if have.get(name) != target
    ]
    if lines:
        quoted = shlex.quote(folder)
        yield "\n".join(("set -e", "umask 022", f"mkdir -p {quoted}", f"cd {quoted}", *lines))
