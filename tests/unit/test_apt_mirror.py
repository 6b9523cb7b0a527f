"""Which mirror apt uses, out of what apt says."""

from __future__ import annotations

import pytest

from sealift.errors import SealiftError
from sealift.sources.apt_mirror import Mirrors, parse_index_targets

TARGETS = """\
http://mirror.example/debian/ bookworm Debian
http://mirror.example/debian bookworm-updates Debian
http://mirror.example/debian-security bookworm-security Debian-Security
http://vendor.example/linux stable Docker CE
"""


def test_each_label_gives_its_first_address_with_one_slash_at_the_end() -> None:
    assert parse_index_targets(TARGETS) == Mirrors(
        main="http://mirror.example/debian/", security="http://mirror.example/debian-security/"
    )


def test_a_login_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SealiftError, match=r"the address of Debian .* has a login.*auth\.conf\.d") as refused:
        parse_index_targets(TARGETS.replace("mirror.example/debian/", "alice:hunter2@mirror.example/debian/"))
    assert "hunter2" not in str(refused.value)


def test_a_missing_label_is_named_with_its_remedy() -> None:
    with pytest.raises(SealiftError, match=r"no index labelled Debian-Security.*apt-get update"):
        parse_index_targets(TARGETS.splitlines()[0])


def test_an_address_that_is_none_is_left_to_apt() -> None:
    given = TARGETS.replace("mirror.example/debian-security", "[mirror/debian-security")
    assert parse_index_targets(given).security == "http://[mirror/debian-security/"
