"""What the probe on the host says of the roles."""

from __future__ import annotations

import re
import time

import pytest
from testinfra.host import Host

from sealift.host_paths import PROBED
from tests.hosts.commands import output

# A host that has just been deployed loads its models first, and lab hosts share two cores. For all roles
# together.
_END = time.monotonic() + 600
_OLD_S = 900
# A container writes to its folder: root follows no link there.
_READ = "dd if=%s iflag=nofollow,nonblock,fullblock bs=262144 count=1 status=none"


@pytest.mark.on("service probe")
def test_the_probe_says_that_the_role_is_up(host: Host, role: str) -> None:
    """The probe has asked the role within the last quarter of an hour, and it answered."""
    while not _up(said := host.run(_READ, PROBED).stdout, role) and time.monotonic() < _END:
        time.sleep(2)
    assert _up(said, role), said
    age = output(host, "echo $(($(date +%%s) - $(stat -c %%Y %s)))", PROBED)  # expr(1) fails for 0
    assert int(age) < _OLD_S


def _up(said: str, role: str) -> bool:
    return (
        re.search(rf'^sealift_role_up{{.*role="{re.escape(role)}"}} 1(\.0)?$', said, re.MULTILINE) is not None
    )
