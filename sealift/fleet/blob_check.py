"""The blobs of host stores, hashed anew: what damaged itself on a disk keeps its size and its time.

Everything else goes by these, because hashing takes as long as reading all of a disk. So a damaged blob is
made to count as touched, and what follows is as after any other damage: it is told, shipped and loaded again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources

from sealift.errors import SealiftError
from sealift.fleet.survey import Target
from sealift.host.key_values import key_values
from sealift.host_paths import BLOBS
from sealift.release.locked import Lock
from sealift.ssh import on_all

HASH = resources.files("sealift.fleet").joinpath("hash.sh").read_text()
_LIMIT_S = 24 * 3600  # a terabyte from a slow disk takes three hours
_HEX = re.compile(r"[0-9a-f]{64}")


def damaged_blobs(found: Sequence[Target], mark: bool) -> Mapping[str, tuple[str, ...]]:
    """Hash all blobs on all hosts at once; give a line for each damaged one of their releases, by host.

    + mark: whether damaged ones are to count as touched from now on; else nothing is changed

    Raises SealiftError where a host does not answer.
    """
    by_name = {target.host.name: target for target in found}
    return on_all(list(by_name), lambda name: _hash(by_name[name], mark)).all()


def _hash(target: Target, mark: bool) -> tuple[str, ...]:
    said = target.host.ssh.run(HASH, BLOBS, "mark" if mark else "", timeout_s=_LIMIT_S)
    return parse_damaged(target.host.name, said, target.stored.lock)


def parse_damaged(host: str, said: str, lock: Lock) -> tuple[str, ...]:
    """Parse what hash.sh prints.

    + lock: the host's, which says what a blob belongs to

    Raises SealiftError where it is not whole.
    """
    values = key_values(said)
    names = values.get("damaged", [])
    if "end" not in values or not all(map(_HEX.fullmatch, names)):
        raise SealiftError(f"{host}: did not hash all blobs of its store, expected it to. Try again.")
    owners = _owners(lock)  # what another release has is shipped again when that one is applied
    return tuple(f"blob {name[:12]} of {owners[name]} is damaged" for name in sorted(names) if name in owners)


def _owners(lock: Lock) -> Mapping[str, str]:
    owners = {file.blob.hex: f"file {name}" for name, file in lock.files.items()}
    owners |= {package.blob.hex: f"package {package.name}" for package in lock.packages}
    for image in lock.images.values():
        owners |= {blob.hex: f"image {image.name}" for blob in (image.config, *image.layers)}
    for name, model in lock.models.items():
        owners |= {blob.hex: f"model {name}" for blob in model.blobs}
    for title, layer, _ in lock.made:
        name = title.partition("/")[0]
        owners[layer.hex] = f"model {name}" if name in lock.models else f"role {name}"
    return owners
