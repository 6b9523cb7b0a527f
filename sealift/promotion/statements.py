"""What people and control nodes put their names to: records, approvals and overrides, as small JSON files.

Each is signed by OpenSSH, the signature beside it as `.sig`, for a namespace of its own: who may promote may
not override, unless the site's list of allowed signers says so.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, TypeAdapter, ValidationError

from sealift import mistakes
from sealift.errors import SealiftError, one_line
from sealift.files import canonical_json, parse_json
from sealift.host.promotion_settings import EnvironmentName
from sealift.release.age import Excuse
from sealift.release.values import Digest, Frozen

STATEMENT_LIMIT = 256 << 10  # bytes
_KEYS = 2000  # of an object: areas of claims, objectives


# So that no sum of it with days is out of what dates can be.
_Moment = Annotated[
    AwareDatetime, Field(ge=datetime(2020, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))
]
_Reference = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}:[A-Za-z0-9.+~_-]{1,63}$")]


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected a line of characters that a terminal can show")
    return text


# One line that a terminal shows as it is.
_Line = Annotated[str, StringConstraints(max_length=400), AfterValidator(_plain)]
_Reason = Annotated[_Line, StringConstraints(min_length=1, strip_whitespace=True)]
_Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]


class _Statement(Frozen):
    """What all of them say.

    + at: when it was signed, by the signer's clock
    + by: who signed, as the control node knew them; whom to believe is what the signature says
    """

    format: Literal[1] = 1
    environment: EnvironmentName
    release: _Reference
    bundle: Digest
    at: _Moment
    by: _Line


class Record(_Statement):
    """That a rollout passed: every claim held on every host of an environment."""

    kind: Literal["record"] = "record"
    code: Digest = Field(description="of the deployment code: sealift.evidence.code")
    passed_at: _Moment = Field(description="when the claims were checked; age counts from here")
    hosts: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
    claims: dict[_Line, _Count] = Field(max_length=_KEYS, description="that held, by area")
    objectives: dict[_Line, _Count] = Field(
        default={}, max_length=_KEYS, description="hosts on which one was kept, by role and objective"
    )

    @property
    def since(self) -> datetime:
        """From when on its age counts."""
        return self.passed_at


class Approval(_Statement):
    """That somebody agrees to a plan: this bundle, on these hosts, with these changes."""

    kind: Literal["approval"] = "approval"
    plan: Digest = Field(description="the plan's fingerprint, as `sealift plan` tells it")

    @property
    def since(self) -> datetime:
        """From when on its age counts."""
        return self.at


class Override(_Statement):
    """That somebody takes it on themselves: what would be refused is let pass, for a time."""

    kind: Literal["override"] = "override"
    lets: Annotated[tuple[Excuse, ...], Field(min_length=1, max_length=len(Excuse))]
    reason: _Reason
    until: _Moment

    @property
    def since(self) -> datetime:
        """From when on it is good."""
        return self.at


Statement = Record | Approval | Override
NAMESPACES = {"record": "sealift-promotion", "approval": "sealift-approval", "override": "sealift-override"}
_STATEMENT: TypeAdapter[Statement] = TypeAdapter(Annotated[Statement, Field(discriminator="kind")])
_AHEAD = timedelta(hours=1)  # that a signer's clock may be before ours


def parse_statement(content: bytes, where: str) -> Statement:
    """Parse a statement's bytes, whoever signed them.

    + where: what it is, for messages

    Raises SealiftError where it is none.
    """
    try:
        return _STATEMENT.validate_python(parse_json(content, where, keys=_KEYS))
    except ValidationError as error:
        raise SealiftError(
            f"{where}: {one_line(mistakes.first(error))}, expected a record, an approval or an override. "
            "Have it made again: sealift promote --help"
        ) from None


def dump_statement(statement: Statement) -> bytes:
    """A statement's bytes, which are signed."""
    return canonical_json(statement.model_dump(mode="json"), indent=1)


def out_of_time(statement: Statement, now: datetime, max_age_days: int) -> str | None:
    """Why a statement does not hold now, if it does not.

    + max_age_days: for which the environment takes records and approvals
    """
    since, lasts = statement.since, timedelta(days=max_age_days)
    if max(since, statement.at) > now + _AHEAD:
        return f"is of {day_and_time(max(since, statement.at))}, which is still to come: set the clocks right"
    if isinstance(statement, Override):
        return f"was good until {day_and_time(statement.until)}" if now > statement.until else None
    if now - since > lasts:
        return f"is of {day_and_time(since)}, older than {max_age_days} days"
    return None


def day_and_time(moment: datetime) -> str:
    """A moment in UTC, for people."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
