"""What a host prints of its generations."""

from __future__ import annotations

import pytest

from sealift.errors import SealiftError
from sealift.fleet.generations import parse_stands


@pytest.mark.parametrize(
    "said",
    [
        "",
        "current=aaaaaaaaaaaa\nend=",
        "generation=../../etc 1 yes {}\nend=",
        "generation=aaaaaaaaaaaa x yes {}\nend=",
        'generation=aaaaaaaaaaaa 1 yes {"release": 7}\nend=',
        "armed=soon\nend=",
    ],
)
def test_what_cannot_be_read_is_refused(said: str) -> None:
    with pytest.raises(SealiftError, match="h1: "):
        parse_stands("h1", said)
