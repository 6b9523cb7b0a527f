"""Makes this machine, a bare Debian with python3, the control node of a closed site: out of media alone.

    python3 -I START.py --allowed-signers FILE --to /srv/sealift [MEDIA...]

It needs root and no network. Killed at any moment, it goes on where it stopped when it is run again.
On the media this file is START.py, and its SHA-256 stands in their signed table: docs/install.md has the
command that checks that first. It verifies the table, unpacks the deployment code into a folder for the time
being, and goes on in that code, which the same table vouches for: sealift/install/. It imports nothing but
Python's standard library, for there is nothing else yet.
"""

import sys

if __name__ == "__main__" and not sys.flags.isolated:
    # Without -I, Python takes modules from beside this file: from the media, where nobody has verified them.
    sys.exit("START.py: was started without -I, expected python3 -I START.py. Run it so.")

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

STARTING = "starting"  # code is unpacked there to begin with: where it belongs, only it can find out
_HEAD = "sealift media 1"
_LINE = re.compile(r"(rescue|start|code|part|file) ([0-9a-f]{64}) (0|[1-9][0-9]{0,15}) (\S{1,100})", re.ASCII)
TABLE_LIMIT = 32 << 20  # bytes; signatures and lists of signers have fewer
_CHUNK = 1 << 20  # bytes
_RENEW = "Have the media written again by sealift media write."


class StartError(Exception):
    """Something is wrong that the user can mend: `where: what is wrong, what was expected. What to do.`"""


class Item(NamedTuple):
    """A file by its name, and what it must be: its SHA-256 and its bytes."""

    name: str
    hex: str
    size: int


def verify(folders: Sequence[Path], allowed_signers: Path, digest: str | None) -> tuple[bytes, str | None]:
    """The table of the media and who signed it; None for that where the machine has no ssh-keygen.

    + folders: media; the first table that is right is taken
    + allowed_signers: the site's list
    + digest: SHA-256 that the table must have; it takes the place of a signature only without ssh-keygen

    Raises StartError with what is wrong on each medium.
    """
    has_ssh_keygen = shutil.which("ssh-keygen") is not None
    if digest is None and not has_ssh_keygen:
        raise StartError(
            "ssh-keygen: not found, so nothing says who made these media. Add --table-digest with the "
            "SHA-256 of TABLE.txt that sealift media write printed, brought by another way."
        )
    problems: dict[str, None] = {}  # each once
    for folder in folders:
        try:
            table = _read(folder / "TABLE.txt")
            found = hashlib.sha256(table).hexdigest()
            if digest not in (None, found):
                raise StartError(f"{folder}/TABLE.txt: its SHA-256 is {found}, expected {digest}. Refuse it.")
            return table, signer_of(folder, table, allowed_signers) if has_ssh_keygen else None
        except StartError as error:
            problems[str(error)] = None
    raise StartError("\n".join(problems))


def signer_of(folder: Path, table: bytes, allowed_signers: Path) -> str:
    """Who signed what was read of a medium's table, as the site's list names them. Source: ssh-keygen(1).

    Raises StartError where it is nobody on the list, or the content is another one.
    """
    _read(allowed_signers)
    with tempfile.NamedTemporaryFile() as proof:
        proof.write(_read(folder / "TABLE.txt.sig"))
        proof.flush()
        given = ("-s", proof.name, "-f", str(allowed_signers))
        names = _ssh_keygen(b"", "find-principals", *given).stdout.decode(errors="replace").splitlines()
        for name in names:
            if _ssh_keygen(table, "verify", "-n", "sealift", "-I", name, *given).returncode == 0:
                return name
    what = f"signed by {', '.join(names)}, but not with this content" if names else "signed by nobody"
    raise StartError(
        f"{folder}/TABLE.txt: is {what} in {allowed_signers}. "
        "Refuse these media, or add the signer's key to the list after checking it by another way."
    )


def _ssh_keygen(content: bytes, action: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", "-Y", action, *arguments], input=content, capture_output=True)


def _read(path: Path) -> bytes:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:  # a pipe is not waited for
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            content = file.read(TABLE_LIMIT + 1) if regular else b""
    except OSError as error:
        raise StartError(f"{path}: cannot be read: {error.strerror}. Check the path.") from None
    if not regular or len(content) > TABLE_LIMIT:
        raise StartError(f"{path}: is no file of {TABLE_LIMIT} bytes at most. Check the path.")
    return content


class Media:
    """The files of a bundle, read out of its parts, and each checked against the table.

    + files: by their names
    + code: the deployment code, where the release has a control node
    """

    def __init__(self, folders: Sequence[Path], table: bytes) -> None:
        """Parse a table that was verified already. Raises StartError where it is none.

        + folders: that hold the parts; a part may lie in several
        """
        self.files: dict[str, Item] = {}
        self.code: Item | None = None
        self._folders = folders
        self._parts: list[Item] = []
        self._begin: dict[str, int] = {}  # of each file, in bytes from the beginning of the first part
        begin = 0
        head, *lines = table.decode("ascii", errors="replace").split("\n")
        if head != _HEAD or lines[-1:] != [""]:
            raise StartError(f"TABLE.txt: does not begin with '{_HEAD}', or ends early. {_RENEW}")
        for line in lines[:-1]:
            match = _LINE.fullmatch(line)
            if match is None:
                raise StartError(f"TABLE.txt: has a line that is none of a table: {line[:200]!r}. {_RENEW}")
            item = Item(match[4], match[2], int(match[3]))
            if match[1] == "part":
                self._parts.append(item)
            elif match[1] == "code":
                self.code = item
            elif match[1] == "file":
                self.files[item.name], self._begin[item.name] = item, begin
                begin += item.size

    def copy(self, item: Item, target: Path) -> None:
        """Write a file of the bundle, found by its SHA-256: a lock has a name of its own for it.

        Raises StartError where these media do not carry it, or none has it whole.
        """
        file = next((file for file in self.files.values() if file.hex == item.hex), None)
        if file is None:
            raise StartError(
                f"{item.name}: is not on these media, expected those of a whole bundle. If they carry an "
                "upgrade, use the control node that runs: docs/install.md."
            )
        for first in self._folders:  # where one has a damaged part, another may have a good one
            with target.open("w+b") as written:
                written.writelines(self._chunks(file, first))
                written.seek(0)
                if hashlib.file_digest(written, "sha256").hexdigest() == file.hex:
                    return
            target.unlink()
        parts = " or ".join(part.name for part, _, _ in self.slices(file))
        raise StartError(f"{file.name}: is not what the table says, so {parts} is damaged. {_RENEW}")

    def _chunks(self, item: Item, first: Path) -> Iterator[bytes]:
        """A file's bytes, unverified, fewer where a part cannot be read. What `first` has is read there."""
        for part, offset, size in self.slices(item):
            paths = (folder / part.name for folder in (first, *self._folders))
            try:
                holders = (path for path in paths if path.is_file() and path.stat().st_size == part.size)
                if (holder := next(holders, None)) is None:
                    where = ", ".join(map(str, self._folders))
                    raise StartError(
                        f"{part.name}: is needed to start, and not whole in {where}. "
                        "Name the folder that has it too, or copy the parts of all media into one folder."
                    )
                with holder.open("rb", buffering=0) as file:
                    file.seek(offset)
                    while size and (chunk := file.read(min(size, _CHUNK))):
                        size -= len(chunk)
                        yield chunk
            except OSError:  # a bad medium: the hash will show that bytes are missing
                return

    def slices(self, item: Item) -> Iterator[tuple[Item, int, int]]:
        """The parts that a file lies in, with its first byte in each and how many it has there."""
        begin, end, at = self._begin[item.name], self._begin[item.name] + item.size, 0
        for part in self._parts:
            first, last = max(begin, at), min(end, at + part.size)
            if first < last:
                yield part, first - at, last - first
            at += part.size


def unpack(code: Item, copy: Callable[[Item, Path], None], folder: Path) -> None:
    """Unpack deployment code. Its folder is there whole or not at all; a later call leaves it alone.

    + copy: puts a blob's bytes into a file, verified
    + folder: named by its content

    Raises StartError where the code would write elsewhere, and what `copy` raises.
    """
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    archive = partial / ".code.tar"
    copy(code, archive)
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                _extract(tar, member, partial)
    except (tarfile.TarError, ValueError, FileExistsError, NotADirectoryError) as error:
        raise StartError(f"code.tar: cannot be unpacked: {error}. {_RENEW}") from None
    archive.unlink()
    os.sync()  # a power cut must not leave the name without the content
    partial.rename(folder)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file; sealift lock packs nothing else. Raises ValueError where it is anything else.

    Not by tarfile's filters, which Debian 12's Python 3.11.2 does not have.
    """
    name = PurePosixPath(member.name)
    plain = member.type == tarfile.REGTYPE and not member.issparse()
    if not plain or str(name) != member.name or name.is_absolute() or ".." in name.parts:
        raise ValueError(f"{member.name!r} is no file by a path below a folder")
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:  # a second one of that name is refused
        shutil.copyfileobj(cast(IO[bytes], tar.extractfile(member)), file)
    path.chmod(0o755 if member.mode & 0o100 else 0o644)


def hold(to: Path) -> None:
    """Hold the folder of the installation alone. Where somebody else does, wait, and say so.

    What this process becomes holds it too, but none of its children: a daemon that a package starts would
    hold it for ever. Children end with it, or hold locks of their own, as apt does.
    """
    to.mkdir(parents=True, exist_ok=True)
    handle = os.open(to, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(handle, True)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting = f"{to}: another installation is running in it, waiting for its end"
        print(waiting, file=sys.stderr, flush=True)
        fcntl.flock(handle, fcntl.LOCK_EX)


def main() -> None:
    """Verify the media, unpack the code, and go on in it."""
    parser = argparse.ArgumentParser(prog="START.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    here = Path(__file__).resolve().parent
    parser.add_argument("media", nargs="*", type=Path, default=[here], help="folders of parts; default: here")
    parser.add_argument("--allowed-signers", type=Path, required=True, help="the site's list (ssh-keygen)")
    parser.add_argument("--to", type=Path, required=True, help="where all goes, such as /srv/sealift")
    parser.add_argument("--table-digest", help="SHA-256 of TABLE.txt, where there is no ssh-keygen yet")
    parser.add_argument("--replace", action="store_true", help="in place of another build of this version")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise StartError("START.py: needs root to install packages, expected user id 0. Run it with sudo.")
    to, signers = arguments.to.absolute(), arguments.allowed_signers.absolute()
    folders = [folder.absolute() for folder in arguments.media]
    table, signer = verify(folders, signers, arguments.table_digest)
    print(f"media       {f'signed by {signer}' if signer else 'as --table-digest says'}", flush=True)
    media = Media(folders, table)
    if media.code is None:
        raise StartError("TABLE.txt: names no code for a control node. Add `control` to the release file.")
    hold(to)
    code = to / STARTING / media.code.hex
    unpack(media.code, media.copy, code)
    go_on = [sys.executable, "-I", str(code / "sealift/install/__main__.py")]
    given = [signers, to, *folders, *(["--replace"] if arguments.replace else [])]
    os.execv(go_on[0], [*go_on, hashlib.sha256(table).hexdigest(), *map(str, given)])  # noqa: S606 - no shell


if __name__ == "__main__":
    try:
        main()
    except StartError as refusal:
        sys.exit(str(refusal))
    except KeyboardInterrupt:
        sys.exit("interrupted: run the same command again, it goes on where it stopped")
    except OSError as failed:
        sys.exit(f"{failed.filename or 'START.py'}: {failed.strerror}. Mend that and run the command again.")
