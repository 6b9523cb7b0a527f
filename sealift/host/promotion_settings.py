"""What an environment takes: docs/promotion.md."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from sealift.release.values import Few, Frozen

EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")]


class PromotionSettings(Frozen):
    """Which releases the hosts of an inventory take, and who vouches for them."""

    from_: Few[EnvironmentName] = Field(
        default=(),
        alias="from",
        description="inventories of which one must have passed with the very bundle; empty asks for none",
    )
    max_age_days: int = Field(
        default=30, ge=1, le=3650, description="days for which a record or an approval is good"
    )
    approvals: int = Field(
        default=0, ge=0, le=16, description="people who must approve the plan of each rollout"
    )
    signers: Path | None = Field(
        default=None, description="list of allowed signers: who may promote, approve and override"
    )
    key: Path | None = Field(
        default=None,
        description="OpenSSH key, mode 0600, that signs records and pages of rollouts here",
    )
    statements: Path | None = Field(
        default=None,
        description="folder of records, approvals and overrides; default: `promotions`, beside the depot",
    )
