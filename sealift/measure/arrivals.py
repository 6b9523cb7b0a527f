"""When requests of an open loop are sent: times that no answer delays.

A client that waits for its answer before it asks again sends less the slower a host is, and so hides the
queue that users stand in. Here requests are due at times that were drawn before, and what one takes is
counted from when it was due.
"""

from __future__ import annotations

import random
from collections.abc import Iterator


def poisson(rate: float, seconds: float, seed: int = 1) -> Iterator[float]:
    """Seconds at which requests are due, as many users who know nothing of each other send them.

    + rate: requests a second, on average
    + seconds: for how long
    + seed: the same one gives the same times, so that two runs are of one load
    """
    draw = random.Random(seed)  # noqa: S311 - nothing is secret here
    due = draw.expovariate(rate)
    while due < seconds:
        yield due
        due += draw.expovariate(rate)
