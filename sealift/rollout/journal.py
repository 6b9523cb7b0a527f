"""The journal of a rollout: a file to which events are added, one JSON object a line.

Each event is on the disk before the next step begins. A line that a power cut tore is the last one, and is
taken off: what it would have told is done again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sealift.errors import SealiftError
from sealift.files import read_limited, sync_folder
from sealift.rollout.events import Closed, Event, Opened
from sealift.site.inventory import Inventory

JOURNAL = "journal.jsonl"
_LIMIT = 256 << 20  # bytes; of 500 hosts, a rollout writes less than one of them
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)
_NAME = re.compile(r"\S+-[0-9]{8}T[0-9]{6}Z(-[0-9]+)?")


class Journal:
    """The events of a rollout, and the file that they are in."""

    def __init__(self, folder: Path) -> None:
        """+ folder: of the rollout.

        Raises SealiftError where the file is no journal.
        """
        self.folder = folder
        self._path = folder / JOURNAL
        self.events: list[Event] = []
        self._whole = 0  # bytes of it
        if self._path.exists():
            content = read_limited(self._path, _LIMIT)
            self.events, self._whole = parse(content, self._path)

    @property
    def id(self) -> str:
        """INVENTORY-TIME."""
        return self.folder.name

    @property
    def opened(self) -> Opened:
        """Its first event. Raises SealiftError where there is none."""
        if self.events and isinstance(self.events[0], Opened):
            return self.events[0]
        raise SealiftError(f"{self._path}: does not begin with what is to be done. Remove {self.folder}.")

    @property
    def is_closed(self) -> bool:
        """Whether the rollout has come to its end."""
        return bool(self.events) and isinstance(self.events[-1], Closed)

    def add(self, event: Event) -> None:
        """Add an event; it is on the disk when this returns."""
        line = event.model_dump_json(exclude_defaults=False).encode() + b"\n"
        new = not self._path.exists()
        if new:
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.folder.parent)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, self._whole)
            written = os.pwrite(descriptor, line, self._whole)
            if written != len(line):
                raise SealiftError(f"{self._path}: cannot be written whole. Make room there.")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.folder)
        self._whole += len(line)
        self.events.append(event)


def parse(content: bytes, path: Path) -> tuple[list[Event], int]:
    """The events of a journal, and how many bytes of it are whole: its last line may be torn.

    Raises SealiftError where another line is no event.
    """
    events: list[Event] = []
    whole = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            event = _EVENT.validate_json(line)
        except ValidationError:
            if number == len(lines):
                break
            raise SealiftError(
                f"{path}: line {number} is no event of a rollout. Was it edited? Copy it from a backup, or "
                "move its folder away."
            ) from None
        if not line.endswith(b"\n"):
            break
        events.append(event)
        whole += len(line)
    return events, whole


def rollouts_folder(inventory: Inventory) -> Path:
    """Where a site's rollouts stay: beside its depot, where no release takes them away."""
    return inventory.hosts[0].settings.depot.absolute().parent / "rollouts"


def new_folder(inventory: Inventory, now: datetime) -> Path:
    """A folder for a rollout that begins now: the last one by name, also where the clock was set back."""
    name = f"{inventory.name}-{now.strftime('%Y%m%dT%H%M%SZ')}"
    last = next((_by_time(folder.name) for folder in folders(inventory)), ("", 0))
    if last >= _by_time(name):
        name = f"{last[0]}Z-{last[1] + 1}"
    return rollouts_folder(inventory) / name


def folders(inventory: Inventory) -> tuple[Path, ...]:
    """Those of a site's rollouts, the last one first."""
    below = rollouts_folder(inventory)
    names = [path.name for path in below.iterdir() if _NAME.fullmatch(path.name)] if below.is_dir() else []
    mine = [name for name in names if re.split(r"-[0-9]{8}T", name)[0] == inventory.name]
    return tuple(below / name for name in sorted(mine, key=_by_time, reverse=True))


def journals(inventory: Inventory) -> Iterator[Journal]:
    """Those of a site, the last one first. What cannot be read is left out."""
    for folder in folders(inventory):
        with suppress(SealiftError):
            journal = Journal(folder)
            if journal.events:
                yield journal


def unfinished(inventory: Inventory) -> Journal | None:
    """The rollout that was begun last, where it has not come to its end.

    Raises SealiftError where its journal cannot be read.
    """
    for folder in folders(inventory)[:1]:
        journal = Journal(folder)
        if journal.events and not journal.is_closed:
            return journal
    return None


def require_finished(site: Inventory) -> None:
    """Raises SealiftError where a rollout of the site was begun and not ended."""
    journal = unfinished(site)
    if journal is not None:
        raise SealiftError(not_finished(journal))


def not_finished(journal: Journal) -> str:
    """What is told of such a rollout."""
    opened = journal.opened
    return (
        f"{opened.inventory}: the rollout of {opened.release}, begun by {opened.who} on {opened.node} at "
        f"{opened.at:%F %T} UTC, has not come to its end. Go on with it: sealift rollout {opened.inventory} "
        "--resume. Or take back the wave that it was at: --abandon."
    )


def _by_time(name: str) -> tuple[str, int]:
    moment, _, number = name.rpartition("Z")
    return moment, int(number.removeprefix("-") or 1)
