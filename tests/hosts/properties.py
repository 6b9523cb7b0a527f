"""What pytest's fixture `record_property` is: it puts what was seen beside a claim in the evidence."""

from __future__ import annotations

from collections.abc import Callable

RecordProperty = Callable[[str, object], None]
