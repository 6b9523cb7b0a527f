"""What a run of measurements found. Its file is this, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sealift.measure.statistics import Spread
from sealift.release.values import Digest, Frozen

Refusals = dict[str, int]


class Counted(Frozen):
    """Requests to a role on a host, and what came of them."""

    host: str
    role: str
    asked: int = Field(description="requests")
    refused: Refusals = Field(description="how many were not answered, by what was said")
    first_s: Spread | None = Field(description="seconds until the first word")
    answer_s: Spread | None = Field(description="seconds until the end")

    @property
    def answered(self) -> int:
        """Requests that were answered."""
        return self.asked - sum(self.refused.values())


class Step(Counted):
    """Streams that ask one after another, each again once it is answered."""

    prompt: Literal["short", "long"]
    streams: int
    prompt_tokens: Spread | None
    tokens: Spread | None = Field(description="of an answer")
    rate: Spread | None = Field(description="tokens a second of an answer, as Ollama counts them")
    produced: int = Field(description="tokens of all answers")
    seconds: float = Field(description="that all of it took")

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What two runs are matched by."""
        return (self.host, self.role, self.prompt, self.streams)

    @property
    def together(self) -> float | None:
        """Tokens a second of all streams together, with all waiting."""
        return self.produced / self.seconds if self.produced else None

    @property
    def requests_per_second(self) -> float:
        """Answers a second of all streams together."""
        return self.answered / self.seconds


class Cold(Frozen):
    """A model that was put out of memory before it was asked."""

    host: str
    role: str
    load_s: Spread = Field(description="seconds that Ollama loaded it")
    first_s: Spread = Field(description="seconds until the first word")


class Moment(Frozen):
    """A request of an open loop."""

    due_s: float = Field(description="seconds since the load began")
    first_s: float | None = Field(description="seconds from then until the first word")
    answer_s: float | None = Field(description="seconds from then until the end; none where it was refused")


class Load(Counted):
    """Requests that come whatever the answers do. Times count from when each was due."""

    rate: float = Field(description="requests a second")
    seconds: float = Field(description="for how long")
    ended_s: float = Field(description="seconds until the last was answered")
    moments: tuple[Moment, ...]

    @property
    def key(self) -> tuple[str, str, float]:
        """What two runs are matched by."""
        return (self.host, self.role, self.rate)


class Bound(Frozen):
    """What a host's memory allows one stream, which reads all weights for each token."""

    host: str
    role: str
    bytes_per_token: int = Field(description="of weights, and of the KV cache in the middle of the answer")
    bandwidth: float = Field(description="bytes a second")
    measured: Spread | None = Field(description="bandwidth, where it was measured and not looked up")
    of: str = Field(description="what has that bandwidth")
    tokens_per_second: float = Field(description="of a stream, where memory alone decides")
    reached: float = Field(description="share of that")


class Bench(Frozen):
    """All of a run."""

    format: Literal[1] = 1
    site: str
    release: str = Field(description="NAME:VERSION")
    bundle: Digest
    began: datetime = Field(description="UTC")
    client: str = Field(description="who asked")
    rounds: int
    predict: int = Field(description="tokens of an answer at most")
    steps: tuple[Step, ...] = ()
    colds: tuple[Cold, ...] = ()
    loads: tuple[Load, ...] = ()
    bounds: tuple[Bound, ...] = ()

    @property
    def refusals(self) -> Refusals:
        """How many requests of all were not answered, by what was said."""
        found: Refusals = {}
        for counted in (*self.steps, *self.loads):
            for said, count in counted.refused.items():
                found[said] = found.get(said, 0) + count
        return found
