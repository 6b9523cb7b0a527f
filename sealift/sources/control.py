"""What the control node of a closed site starts from, beside Debian packages: wheels and deployment code."""

from __future__ import annotations

from pathlib import Path

from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.progress import Progress
from sealift.release.locked import Lock, LockedControl
from sealift.release.types import Control, Release
from sealift.sources.code import pack_code
from sealift.sources.wheels import lock_wheels

_REQUIREMENTS_LIMIT = 4 << 20  # bytes; a package with all its files' hashes takes about 2,500 of them


def lock_control(
    release: Release, project: Path, cache: BlobStore, progress: Progress
) -> LockedControl | None:
    """Pin it, and bring it into the cache; None where the release names none.

    + project: folder of the deployment code, a git checkout
    + progress: told of bytes fetched

    Raises SealiftError with a line per mistake.
    """
    wanted = release.control
    if wanted is None:
        return None
    mistakes: list[str] = []
    code, wheels = None, None
    try:
        code = pack_code(project, cache)
    except SealiftError as error:
        mistakes.append(str(error))
    try:
        content = _requirements(wanted, project)
        wheels = lock_wheels(content, str(project / wanted.python), release.suite, cache, progress)
    except SealiftError as error:
        mistakes.append(str(error))
    if code is None or wheels is None:
        raise SealiftError("\n".join(mistakes))
    return LockedControl(code=code, requirements=cache.put_bytes(content), wheels=wheels)


def check_code(lock: Lock, project: Path, cache: BlobStore) -> None:
    """Bring the code that was locked into the cache; that it is there already does not count: who builds a
    bundle means the code that lies there.

    + project: its folder

    Raises SealiftError where the project was changed since.
    """
    wanted, locked = lock.release.control, lock.control
    if wanted is None or locked is None:
        return
    code, requirements = pack_code(project, cache), cache.put_bytes(_requirements(wanted, project))
    if (code, requirements) != (locked.code, locked.requirements):
        raise SealiftError(
            f"{project}: its files are not those that were locked. "
            "Run sealift lock again, or name the project that was locked with --project."
        )


def _requirements(wanted: Control, project: Path) -> bytes:
    path = project / wanted.python
    if not path.resolve().is_relative_to(project.resolve()):
        raise SealiftError(f"{path}: leads out of {project}. Put the file there.")
    return read_limited(path, _REQUIREMENTS_LIMIT)
