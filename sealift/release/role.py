"""A role, as a release file has it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sealift.release.groups import Groups
from sealift.release.objectives import Objectives
from sealift.release.parameters import Parameters
from sealift.release.questions import MOST as MOST_QUESTIONS
from sealift.release.questions import Pair, Question
from sealift.release.values import Frozen, ModelName, is_empty, is_none
from sealift.service import ALL


class Role(Frozen):
    """What applications ask for; which model answers is the release's business."""

    model: ModelName = Field(description="which of the release's models answers")
    fallback: tuple[ModelName, ...] = Field(
        default=(),
        exclude_if=is_empty,
        description="which answer in its place, the first that fits, on hosts whose memory it does not fit",
    )
    context: int = Field(default=4096, ge=256, description="tokens of one request; costs memory")
    parallel: int = Field(default=1, ge=1, le=64, description="requests answered at once; costs memory")
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        exclude_if=is_none,
        description="of the processor, for its models; without it Ollama decides",
    )
    system: str = Field(
        default="",
        max_length=100_000,
        exclude_if=is_empty,
        description="system prompt, in place of the model's own",
    )
    parameters: Parameters = Field(
        default=Parameters(),
        exclude_if=lambda parameters: not parameters.given,
        description="how its models answer",
    )
    groups: Groups = Field(default=(ALL,), description="inventory groups whose hosts serve it")
    objectives: Objectives = Field(
        default=Objectives(), exclude_if=lambda promised: not promised.figures, description="what it promises"
    )
    questions: Annotated[tuple[Question, ...], Field(max_length=MOST_QUESTIONS)] = Field(
        default=(), exclude_if=is_empty, description="what it must answer well, if it answers in words"
    )
    pairs: Annotated[tuple[Pair, ...], Field(max_length=MOST_QUESTIONS)] = Field(
        default=(), exclude_if=is_empty, description="texts that it must find alike or not, if it embeds"
    )

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models that may answer, the best first."""
        return (self.model, *self.fallback)

    @property
    def is_plain(self) -> bool:
        """Whether it has nothing of its own, and is one more name for its model."""
        return not (self.system or self.parameters.given)
