"""The class of facts that Docker is asked for: `status` puts the questions of all of them in one."""

from __future__ import annotations

from typing import Any, TypeVar

from sealift.facts.fact import FactBase

T = TypeVar("T")


class EngineFact(FactBase[T]):
    """A fact out of answers of `sealift.host.engine`.

    Its command, whose arguments pyinfra reads off its signature, asks the same by itself.
    """

    def asks(self, *_: Any, **__: Any) -> tuple[str, ...]:
        """Its questions."""
        raise NotImplementedError

    def beside(self, *_: Any, **__: Any) -> str:
        """Lines of sh(1) that tell what else belongs to it; empty where nothing does."""
        return ""
