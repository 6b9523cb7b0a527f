"""The deployment code: what git tracks of the project, as it stands in the working tree, as a plain tar.

The same files give the same tar on every machine: sorted, owned by root, all of one date.
"""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.oci.tar import Member, tar_chunks

# A folder without them is another project, which a control node could do nothing with.
_NEEDED = ("deploy.py", "pyproject.toml")
_SHOWN = 10  # files in a message


def pack_code(project: Path, cache: BlobStore) -> Blob:
    """Pack a project's files into the cache, and say the tar's name.

    Links are refused: what they lead to may be another thing where they are unpacked. Locks beside their
    release files are left out: a lock names this tar, so the tar cannot hold it; bundles carry their locks.

    + project: a folder of a git checkout; only what lies below it

    Raises SealiftError with a line per file that cannot be carried, or would be left behind.
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
    mistakes += _forgotten(root, project, names)
    if mistakes:
        raise SealiftError("\n".join(mistakes))
    return cache.put_stream(tar_chunks(_member(root, name) for name in names))


def _tracked(root: Path, project: Path) -> tuple[str, ...]:
    """Names below a folder, sorted."""
    names = _listed(root, project)
    return tuple(sorted(name for name in names if not _is_lock(name, names)))


def _forgotten(root: Path, project: Path, tracked: tuple[str, ...]) -> list[str]:
    """A line for each file that belongs to the code by where it lies or by its name, but that git does not
    track. Beside the project's folders may lie what this tool wrote: locks, bundles, have-lists.
    """
    others = _listed(root, project, "--others", "--exclude-standard")
    folders = {PurePosixPath(name).parts[0] for name in tracked if "/" in name}
    found = [
        name
        for name in sorted(others)
        if (PurePosixPath(name).parts[0] in folders or name.endswith(".py"))
        and not _is_lock(name, others.union(tracked))
    ]
    lines = [
        f"{root / name}: git does not track it, so it would not be carried. "
        "Add it with git add, or ignore it."
        for name in found[:_SHOWN]
    ]
    if len(found) > _SHOWN:
        lines.append(f"{project}: git does not track {len(found) - _SHOWN} more. Ask git status for them.")
    return lines


def _listed(root: Path, project: Path, *options: str) -> set[str]:
    """What git lists below a folder, without `options` what it tracks."""
    try:
        ran = subprocess.run(
            ("git", "-C", str(root), "ls-files", "-z", *options),
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
        return {name.decode() for name in ran.stdout.split(b"\0") if name}
    except UnicodeDecodeError:
        raise SealiftError(f"{project}: a file's name there is not UTF-8. Rename it.") from None


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
