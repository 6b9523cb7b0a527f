"""Several things at once, which Ctrl-C ends within moments, however large the things are."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from sealift.progress import Meter

_GRACE = 3.0  # seconds in which those at work may tidy up after themselves

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def at_once(
    work: Callable[[_Item], _Result],
    items: Iterable[_Item],
    threads: int | None = None,
    meter: Meter | None = None,
) -> list[_Result]:
    """Do something for each item, several at a time, and give the results in the items' order.

    After the first error, or when the user interrupts, no more is begun; what is at work ends with its next
    chunk, if it counts its bytes on the meter. The threads are daemons: what does not end then, ends with
    this process.

    + threads: how many; default: one for each core
    + meter: what the work counts its bytes on

    Raises the first error.
    """
    todo: queue.SimpleQueue[tuple[int, _Item]] = queue.SimpleQueue()
    for entry in enumerate(items):
        todo.put(entry)
    count = todo.qsize()
    results: dict[int, _Result] = {}
    errors: list[BaseException] = []
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            try:
                number, item = todo.get_nowait()
            except queue.Empty:
                return
            try:
                results[number] = work(item)
            except BaseException as error:
                errors.append(error)
                halt()

    def halt() -> None:
        stop.set()
        if meter is not None:
            meter.stop()

    crew = [
        threading.Thread(target=go_on, daemon=True) for _ in range(min(count, threads or os.cpu_count() or 1))
    ]
    for thread in crew:
        thread.start()
    try:
        for thread in crew:
            thread.join()
    except BaseException:
        halt()
        end = time.monotonic() + (_GRACE if meter is not None else 0)
        for thread in crew:
            thread.join(max(0.0, end - time.monotonic()))
        raise
    if errors:
        raise errors[0]
    return [results[number] for number in range(count)]
