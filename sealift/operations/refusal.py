"""How an operation says no, and what it tells while it works."""

from __future__ import annotations

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, State

from sealift.fleet.pyinfra_log import TELLS


def refusal(message: str) -> FunctionCommand:
    """A command that fails on this host with a message.

    An exception out of an operation would end the run with a traceback and without the other hosts' results.

    + message: what is wrong, what was expected. What to do.
    """
    return FunctionCommand(_refuse, (message,), {})


def _refuse(state: State, host: Host, message: str) -> bool:  # noqa: ARG001 - pyinfra passes it
    logger.error("%s%s", host.print_prefix, message)
    return False


def tell(host: Host, message: str) -> None:
    """Tell the operator at once, on the terminal of `sealift apply`, and in pyinfra's own log.

    + host: whom it is about; its name goes before it
    """
    logger.info("%s%s%s", host.print_prefix, TELLS, message)
