"""A process that is killed at one step of what it changes on the disk."""

from __future__ import annotations

import itertools
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

_STEPS = ("fsync", "fdatasync", "replace", "rename", "link", "symlink", "unlink", "rmdir")


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run in a child that is killed before its Nth sync, rename, link or removal; False if it ended first.

    + step: from 1 on; steps of threads are counted together
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            steps = itertools.count(1)
            for name in _STEPS:
                setattr(os, name, _counted(getattr(os, name), steps, step))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def _counted(call: Callable[..., Any], steps: itertools.count[int], last: int) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        # A killed process loses nothing that it did not sync: only a power cut does.
        return None if call.__name__ in ("fsync", "fdatasync") else call(*arguments, **named)

    return counted
