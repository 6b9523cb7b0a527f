"""What a journal tells of a rollout, event by event."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from sealift.release.values import Digest, Frozen

Phase = Literal[
    "ship", "drain", "arm", "apply", "verify", "undrain", "soak", "confirm", "leave", "back", "return"
]
"""In this order; the last three where a wave goes back: drained, back, and given requests again."""


class Before(Frozen):
    """A host as a rollout found it.

    + generation: its id; empty, as the others, where it had none
    """

    generation: str = ""
    release: str = ""
    bundle: str = ""


class _Event(Frozen):
    at: datetime = Field(description="UTC")


class Opened(_Event):
    """What a rollout is to do.

    + code: SHA-256 of the deployment code
    + waves: names of hosts
    + allowed: hosts that may fail
    + unchanged: hosts that are as they should be, and are left alone
    + failed: hosts that preflight left out, and why
    + bytes: to be shipped
    + window: in which waves may begin, `HH:MM-HH:MM` of the control node's time; empty is any time
    + overrides: digests of those that let it begin
    + plan: fingerprint of what was to be done, which approvals are of; empty, as the next, in older journals
    + generations: ids of what hosts are to be, but for which hosts are drained
    """

    kind: Literal["opened"] = "opened"
    rollout: str
    inventory: str
    release: str
    bundle: Digest
    code: str
    who: str
    node: str
    waves: tuple[tuple[str, ...], ...]
    canary: bool
    allowed: int
    on_failure: Literal["stop", "wave", "all"]
    unchanged: tuple[str, ...] = ()
    failed: dict[str, str] = Field(default={})
    before: dict[str, Before] = Field(default={})
    bytes: int = 0
    window: str = ""
    overrides: tuple[Digest, ...] = ()
    plan: str = ""
    generations: dict[str, str] = Field(default={})


class Began(_Event):
    """A phase of a wave begins.

    + notes: by host, what has to be known where the phase is cut off
    """

    kind: Literal["began"] = "began"
    wave: int
    phase: Phase
    hosts: tuple[str, ...]
    notes: dict[str, str] = Field(default={})


class Ended(_Event):
    """It has ended.

    + failed: hosts, and in a sentence why
    + said: what else there is to know
    + evidence: folder of the verification, beside that of rollouts
    """

    kind: Literal["ended"] = "ended"
    wave: int
    phase: Phase
    seconds: float
    failed: dict[str, str] = Field(default={})
    said: str = ""
    evidence: str = ""


class Judged(_Event):
    """The gate after a wave."""

    kind: Literal["judged"] = "judged"
    wave: int
    passed: bool
    sentence: str = Field(default="", description="why it has not passed")


class Resumed(_Event):
    """Somebody went on with it.

    + again: whether the wave is done anew, because a host of it went back by itself
    + abandon: whether it goes on to undo what was begun, and no further
    """

    kind: Literal["resumed"] = "resumed"
    who: str
    again: bool = False
    abandon: bool = False


class Closed(_Event):
    """The end. What is done: the rollout went through all its waves."""

    kind: Literal["closed"] = "closed"
    outcome: Literal["done", "failed"]
    sentence: str = ""


Event = Annotated[Opened | Began | Ended | Judged | Resumed | Closed, Field(discriminator="kind")]
