"""What a host must have to be taken."""

from __future__ import annotations

from pydantic import Field

from sealift.release.values import Frozen


class MinimumSettings(Frozen):
    """What preflight demands of a host before anything is changed."""

    disk_free_mib: int = Field(
        default=2048, ge=0, description="MiB left over after the release has been shipped"
    )
    memory_mib: int = Field(default=1024, ge=0, description="MiB of memory")
    clock_skew_s: int = Field(
        default=300, ge=1, description="seconds between the host's clock and the control node's"
    )
