"""A site's signed have-list: which blobs its depot has, so that an upgrade carries only the others.

It is one line of JSON with sorted keys: equal depots have equal lists. A blob takes about 80 bytes of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from sealift import mistakes
from sealift.blob import Blob
from sealift.bundle import signature
from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json, read_limited, write_atomically
from sealift.oci.layout import SIGNATURE_LIMIT
from sealift.progress import Progress, silent
from sealift.release.values import Digest, Frozen

HAVE_LIMIT = 64 << 20  # bytes: some 800,000 blobs

_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Size = Annotated[int, Field(ge=0, lt=1 << 53, strict=True)]
SITE_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9 ._-]{0,62})?$")


class HaveList(Frozen):
    """What a site has: releases by `NAME:VERSION` with their bundles' digests, and blobs with their sizes."""

    site: Annotated[str, StringConstraints(pattern=SITE_NAME.pattern)] = ""
    releases: dict[str, Digest]
    blobs: dict[_Hex, _Size] = Field(description="bytes by hexadecimal SHA-256")

    def __contains__(self, blob: Blob) -> bool:
        return self.blobs.get(blob.hex) == blob.size

    def without(self, digests: frozenset[str]) -> HaveList:
        """The list without these blobs."""
        kept = {digest: size for digest, size in self.blobs.items() if f"sha256:{digest}" not in digests}
        return self.model_copy(update={"blobs": kept})


NOTHING = HaveList(releases={}, blobs={})


def write_signed(have: HaveList, path: Path, key: Path, progress: Progress = silent) -> int:
    """Write a have-list and, beside it as `.sig`, its signature; give the list's bytes.

    + key: the site's OpenSSH key
    + progress: told that somebody may be asked

    Raises SealiftError where it cannot be signed; nothing is written then.
    """
    content = canonical_json(have.model_dump(mode="json")) + b"\n"
    proof = signature.sign(content, key, signature.HAVE_NAMESPACE, progress)
    write_atomically(path, content)
    write_atomically(_signature_of(path), proof)
    return len(content)


def read_signed(path: Path, allowed_signers: Path) -> HaveList:
    """Read a have-list that a site signed.

    + allowed_signers: lines of `SITE namespaces="sealift-have" ssh-ed25519 KEY`

    Raises SealiftError where it is not signed by one of them, was altered, or is no have-list.
    """
    content = read_limited(path, HAVE_LIMIT)
    proof = read_limited(_signature_of(path), SIGNATURE_LIMIT)
    signature.verify(content, proof, allowed_signers, signature.HAVE_NAMESPACE, str(path))
    return parse_have_list(content, str(path))


def parse_have_list(content: bytes, where: str) -> HaveList:
    """Parse a have-list's bytes.

    + where: what it is, for messages

    Raises SealiftError where it is not one.
    """
    try:
        return HaveList.model_validate(parse_json(content, where, keys=HAVE_LIMIT))
    except ValidationError as error:
        raise SealiftError(
            f"{where}: {mistakes.first(error)}, expected a have-list. Make it again with sealift have."
        ) from None


def _signature_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")
