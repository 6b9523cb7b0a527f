"""A certificate and its key take the places of others, as a pair as far as two files can be one."""

from __future__ import annotations

from pathlib import Path

from sealift.files import sync_folder, write_atomically
from sealift.site.certificates import Pair


def beside(path: Path) -> Path:
    """Where a file waits for its turn: `h1.key.new` beside `h1.key`."""
    return path.with_name(f"{path.name}.new")


def put_pair(certificate: Path, key: Path, pair: Pair) -> None:
    """Put a pair in place, over what is there.

    Both are on the disk whole before the first is renamed.
    """
    write_atomically(beside(key), pair.key, 0o600)
    write_atomically(beside(certificate), pair.certificate)
    put_in_force(certificate, key)


def put_in_force(certificate: Path, key: Path) -> None:
    """Rename what waits beside a certificate and its key: the key first, if a new one waits.

    No file system renames two files as one. If the power fails between the two, a new key stands beside the
    old certificate. `check`, `show` and preflight find that the one is not of the other, and no host gets
    them; hosts go on with the pair that they have. To renew again, or to take the same signed certificate
    again, mends it: a certificate can always be made for a key that is there, but no key for a certificate.
    """
    for path in (key, certificate):
        if beside(path).exists():
            beside(path).replace(path)
            sync_folder(path.parent)
