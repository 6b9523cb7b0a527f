"""Whether a parser of foreign bytes keeps its promise, case by case.

It gives a value or a SealiftError of short, plain lines; it takes little time and memory, and writes nothing
outside of the folder that it is given.
"""

from __future__ import annotations

import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.errors import SealiftError, printable
from sealift.install.start import StartError
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target

SECONDS = 2.0  # of this process's own work
MEMORY = 200 << 20  # bytes
LINES = 200
LINE = 2000  # characters
_MORE = re.compile(r"and [0-9]+ more lines")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# events of sys.audit that change files, with the places of paths among their arguments
_CHANGING = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.chmod": (0,),
    "os.truncate": (0,),
}


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    + parsed: False where it was refused
    + broken: why the promise is broken; empty where it is kept
    + place: where, so that one defect is counted once
    """

    parsed: bool
    seconds: float
    broken: str = ""
    place: str = ""


class _Watch:
    """Notes what is written outside of a folder. One for the whole process: an audit hook stays for ever."""

    def __init__(self) -> None:
        self._folder: str | None = None
        self.outside: list[str] = []
        sys.addaudithook(self._note)

    @contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        self._folder, self.outside = f"{folder}/", []
        try:
            yield
        finally:
            self._folder = None

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._folder is None:
            return
        if event == "open":
            path, _, flags = arguments
            paths = (path,) if isinstance(flags, int) and flags & _WRITING else ()
        else:
            paths = tuple(arguments[place] for place in _CHANGING.get(event, ()))
        for path in paths:  # relative ones are those of shutil.rmtree, below a folder that it opened
            text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
            if text.startswith("/") and text != "/dev/null" and not self._is_inside(text):
                self.outside.append(text)

    def _is_inside(self, path: str) -> bool:
        return f"{os.path.realpath(path)}/".startswith(self._folder or "/")


_watch: _Watch | None = None


@contextmanager
def little_memory() -> Iterator[None]:
    """Asking for more memory than MEMORY beyond what the process has raises MemoryError."""
    has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))


def judge(target: Target, case: Case, folder: Path) -> Verdict:
    """Let a target read a case.

    + folder: an empty one, the only place where it may write
    """
    global _watch
    _watch = _watch or _Watch()
    began, parsed, broken, place = time.process_time(), False, "", ""
    with _watch.over(folder), little_memory():
        try:
            target.read(case, folder)
            parsed = True
        except (SealiftError, StartError) as error:
            broken = _bad_message(str(error), target)
            place = _place(error) if broken else ""
        except Exception as error:
            broken = "".join(traceback.format_exception(error)[-6:])
            place = _place(error)
    seconds = time.process_time() - began
    if _watch.outside:
        broken, place = f"writes {_watch.outside}", "outside"
    elif not broken and seconds > SECONDS:
        broken, place = f"takes {seconds:.1f} s", "slow"
    return Verdict(parsed, seconds, broken, f"{target.name}: {place}" if place else "")


def _bad_message(message: str, target: Target) -> str:
    lines = printable(message).split("\n")
    if not message.strip():
        return "an empty message"
    if len(lines) > LINES or max(map(len, lines)) > LINE:
        return f"{len(lines)} lines, the longest of {max(map(len, lines))} characters: {lines[0][:300]}"
    forged = [line for line in lines if target.where not in line and not _MORE.fullmatch(line)]
    return f"a line that is not ours: {forged[0][:300]!r}" if forged else ""


def _place(error: BaseException) -> str:
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}sealift{os.sep}" in f.filename
    ]
    last = frames[-1] if frames else None
    return (
        f"{Path(last.filename).name}:{last.lineno} {type(error).__name__}" if last else type(error).__name__
    )
