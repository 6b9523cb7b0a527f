"""What activation reads of a depot, kept aside: once a release is shipped, the depot may be gone.

Hosts activate from their own stores. The control node still has to know what a release is: its lock, and its
package index as the site signed it. That is a few megabytes, without any image, model or package.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.files import sync_folder, write_atomically
from sealift.oci.layout import INDEX

ACTIVATION = "SEALIFT_ACTIVATION"  # in the environment: folder that stands for the depot


def reading(depot: Path) -> Depot:
    """The depot that releases are read from: the site's, or while a rollout activates, what it keeps of that.

    + depot: the site's
    """
    kept = os.environ.get(ACTIVATION)
    return Depot(Path(kept) if kept else depot)


@contextmanager
def activating(
    depot: Depot, references: Sequence[str], folder: Path, left: Callable[[], Iterable[str]] = tuple
) -> Iterator[None]:
    """Have this process, and those that it starts, read releases from a folder of their own.

    + references: the releases that hosts of the site have or get, as the inventory names them
    + left: gives those that hosts run until they get another one, which the depot may lack; asked where the
      folder is made
    + folder: where it lies; what a killed rollout kept there is used as it is, unless other releases are
      named by now: then the depot is read

    Raises SealiftError where the depot lacks one, or was damaged.
    """
    if not folder.exists():
        _keep(depot, references, left(), folder)
    if not _has(Depot(folder), references):
        yield
        return
    os.environ[ACTIVATION] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ[ACTIVATION]


def _has(kept: Depot, references: Sequence[str]) -> bool:
    try:
        return all(kept.resolve(reference) for reference in references)
    except SealiftError:
        return False


def _keep(depot: Depot, references: Sequence[str], left: Iterable[str], folder: Path) -> None:
    """Copy what is read: all of it, or no folder."""
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for reference in dict.fromkeys(left):
        with suppress(SealiftError, OSError):  # it is left, and nothing that is to come depends on it
            _copy(depot, reference, Depot(new))
    for reference in dict.fromkeys(references):  # after the others, of which one may be called the same
        _copy(depot, reference, Depot(new))
    new.rename(folder)
    sync_folder(folder.parent)


def _copy(depot: Depot, reference: str, to: Depot) -> None:
    stored = depot.resolve(reference)
    release = stored.lock.release
    index = (depot.bundle(stored.digest) / INDEX).read_bytes()
    write_atomically(to.bundle(stored.digest) / INDEX, index)
    for path in sorted((depot.bundle(stored.digest) / "repository").iterdir()):
        write_atomically(to.bundle(stored.digest) / "repository" / path.name, path.read_bytes())
    for digest in depot.layout(stored.digest).tables():
        name = to.store.folder / digest.removeprefix("sha256:")
        write_atomically(name, depot.blob_path(digest).read_bytes())
    write_atomically(to.pointer(release.name, release.version), f"{stored.digest}\n".encode())
