"""How a rollout goes over a site's hosts: in which waves, and what becomes of it where one fails."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sealift.release.values import Frozen

Percent = Annotated[str, StringConstraints(pattern=r"^(100|[1-9]?[0-9])%$")]
Share = Annotated[int, Field(ge=0)] | Percent


class RolloutSettings(Frozen):
    """`sealift rollout`. The same for all hosts of a site."""

    canary: Annotated[int, Field(ge=0)] | tuple[str, ...] = Field(
        default=1, description="the first wave: names of hosts, or how many; 0 is none"
    )
    batches: tuple[Share, ...] = Field(
        default=("10%", "50%", "100%"),
        min_length=1,
        description="the waves after it: hosts, or per cent of all; the last one is repeated to the end",
    )
    max_failures: Share = Field(
        default=0,
        description="hosts, or per cent of all, that may fail and go back alone while the others go on; "
        "of the canary none may",
    )
    on_failure: Literal["stop", "wave", "all"] = Field(
        default="wave",
        description="when more fail: nothing goes back, the wave goes back, or all waves of the rollout do",
    )
    drain_s: int = Field(
        default=900, ge=0, description="seconds that what still runs on a drained host is waited for"
    )
    soak_s: int = Field(
        default=420, ge=0, description="seconds that no alert of a wave's hosts may begin to fire"
    )
    confirm_s: int = Field(
        default=900,
        ge=120,
        description="seconds after which a host that heard nothing of its rollout goes back by itself",
    )


def hosts_of(share: int | str, total: int) -> int:
    """How many hosts a share is, rounded up.

    + share: hosts, or per cent
    + total: of the site
    """
    return share if isinstance(share, int) else -(-total * int(share.removesuffix("%")) // 100)
