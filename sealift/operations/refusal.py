"""How an operation says no."""

from __future__ import annotations

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, State


def refusal(message: str) -> FunctionCommand:
    """A command that fails on this host with a message.

    An exception out of an operation would end the run with a traceback and without the other hosts' results.

    + message: what is wrong, what was expected. What to do.
    """
    return FunctionCommand(_refuse, (message,), {})


def _refuse(state: State, host: Host, message: str) -> bool:  # noqa: ARG001 - pyinfra passes it
    logger.error("%s%s", host.print_prefix, message)
    return False
