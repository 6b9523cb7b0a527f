"""A blob: what everything that crosses is made of."""

from __future__ import annotations

from pydantic import Field

from sealift.release.values import Digest, Frozen


class Blob(Frozen):
    """Content named by its SHA-256, with its size in bytes."""

    digest: Digest
    size: int = Field(ge=0)

    @property
    def hex(self) -> str:
        """The digest without `sha256:`, as blobs are named in files."""
        return self.digest.removeprefix("sha256:")
