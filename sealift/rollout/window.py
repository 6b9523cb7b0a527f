"""Hours in which waves may begin, or a release is shipped, by the control node's own clock and time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sealift.errors import SealiftError

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True)
class Window:
    """From one time of the day to another, past midnight or not."""

    begins: time
    ends: time

    @classmethod
    def parse(cls, text: str) -> Window:
        """`HH:MM-HH:MM`. Raises SealiftError where it is none."""
        found = _FORM.fullmatch(text)
        if found is None or found[0][:5] == found[0][6:]:
            raise SealiftError(f"{text}: is no window, expected two times such as 22:00-04:00.")
        begin_h, begin_m, end_h, end_m = map(int, found.groups())
        return cls(time(begin_h, begin_m), time(end_h, end_m))

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"

    def has(self, moment: datetime) -> bool:
        """Whether it is open.

        + moment: local time
        """
        at = moment.time()
        if self.begins < self.ends:
            return self.begins <= at < self.ends
        return at >= self.begins or at < self.ends

    def opens(self, moment: datetime) -> datetime:
        """When it is open the next time; the moment itself where it is open.

        + moment: local time, without a zone: in a night of one hour more or less, what clocks show counts
        """
        if self.has(moment):
            return moment
        today = datetime.combine(moment.date(), self.begins)
        return today if today > moment else today + timedelta(days=1)

    def closes(self, moment: datetime) -> datetime:
        """When it closes the next time.

        + moment: local time, as for `opens`
        """
        today = datetime.combine(moment.date(), self.ends)
        return today if today > moment else today + timedelta(days=1)
