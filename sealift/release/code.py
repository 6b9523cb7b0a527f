"""The deployment code: what git tracks of the project, as it stands in the working tree, as a plain tar.

The same files give the same tar on every machine: sorted, owned by root, all of one date.
"""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from sealift.blobs import BlobStore, Content
from sealift.errors import SealiftError
from sealift.release.locked import Blob
from sealift.tar import Member, tar_chunks

# A folder without them is another project, which a control node could do nothing with.
_NEEDED = ("deploy.py", "pyproject.toml")


def pack_code(project: Path, cache: BlobStore) -> Blob:
    """Pack a project's files into the cache, and say the tar's name.

    Links are refused: what they lead to may be another thing where they are unpacked. Locks beside their
    release files are left out: a lock names this tar, so the tar cannot hold it; bundles carry their locks.

    + project: a folder of a git checkout; only what lies below it

    Raises SealiftError with a line per file that cannot be carried.
    """
    root = project.resolve()
    names = _tracked(root, project)
    lacking = [name for name in _NEEDED if name not in names]
    if lacking:
        raise SealiftError(
            f"{project}: git tracks no {' and no '.join(lacking)} there, expected the project that deploys. "
            "Name its folder with --project."
        )
    mistakes = [mistake for name in names if (mistake := _wrong(root, name))]
    if mistakes:
        raise SealiftError("\n".join(mistakes))
    return cache.put_stream(tar_chunks(_member(root, name) for name in names))


def _tracked(root: Path, project: Path) -> tuple[str, ...]:
    """Names below a folder, sorted."""
    try:
        ran = subprocess.run(
            ("git", "-C", str(root), "ls-files", "-z"),
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise SealiftError("git: not found, expected it for the project's files. Install git.") from None
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise SealiftError(
            f"{project}: git cannot list the project's files: {said}\n"
            "Name the folder of a git checkout with --project."
        )
    try:
        names = {name.decode() for name in ran.stdout.split(b"\0") if name}
    except UnicodeDecodeError:
        raise SealiftError(f"{project}: a file's name there is not UTF-8. Rename it.") from None
    return tuple(sorted(name for name in names if not _is_lock(name, names)))


def _is_lock(name: str, names: set[str]) -> bool:
    path = PurePosixPath(name)
    return path.suffix == ".lock" and any(str(path.with_suffix(s)) in names for s in (".yaml", ".yml"))


def _wrong(root: Path, name: str) -> str | None:
    path = root / name
    if not path.exists() and not path.is_symlink():
        return f"{path}: git tracks it, but it is not there. Restore it, or remove it with git rm."
    if path.resolve() != path:
        return f"{path}: is or lies behind a link, expected a file. Put the file there."
    if not path.is_file():
        return f"{path}: is no file; submodules are not carried. Remove it from the project."
    return None


def _member(root: Path, name: str) -> Member:
    content = Content.of_file(root / name)
    executable = bool((root / name).stat().st_mode & 0o100)
    return Member(name, content.chunks(), content.size, executable)
