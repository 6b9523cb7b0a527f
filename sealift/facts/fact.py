"""The class that facts are of: pyinfra's where pyinfra is at work.

`status` asks the same facts by one SSH command of its own, and does without pyinfra, whose import takes a
quarter of a second. Of its class a fact needs no more than this.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "pyinfra" in sys.modules:
    from pyinfra.api import FactBase
else:

    class FactBase:
        """What pyinfra's class has by default, as far as it is asked for."""

        name = ""
        shell_executable = None

        def __class_getitem__(cls, _: Any) -> Any:
            """Its type has no meaning while the program runs."""
            return cls

        @staticmethod
        def default() -> Any:
            """What the fact is where there is no output."""
            return None

        def requires_command(self, **_: Any) -> str | None:
            """The program without which the fact is its default."""
            return None

        def check_preconditions(self, *_: Any) -> str | None:
            """Why it cannot be asked for."""
            return None


def unreadable() -> type[Exception]:
    """pyinfra's error for an answer that cannot be read; imported only where there is one."""
    from pyinfra.api import FactProcessError

    return FactProcessError


__all__ = ("FactBase", "unreadable")
