"""A push to a host that was cut off, and goes on there beside the next one."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from sealift.fleet.host_lock import held_already
from sealift.host.generation import version_of
from sealift.host_paths import CURRENT, PREVIOUS, ROOT
from sealift.live.push import News, packed, push, script
from sealift.site.inventory import Host, Inventory
from sealift.ssh import Ssh
from tests.unit.fleet_site import site_settings
from tests.unit.test_generation import rendered
from tests.unit.test_push import KEYS_FILE, OF_GATEWAY, FakeHost


def test_one_that_was_cut_off_and_goes_on_takes_nothing_from_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by Ctrl-C while front doors are told that a host is drained, when they are told the contrary."""
    host, before = FakeHost(tmp_path), rendered()
    host.has(before, PREVIOUS)
    host.has(before, CURRENT)
    old = {path: before.files[path] for path in OF_GATEWAY}
    stale = script(host.stands(), old)
    first = threading.Thread(target=host.take, args=[OF_GATEWAY])  # of which the gateway never says a word
    first.start()
    while host.ids()["current"] == before.id:
        time.sleep(0.01)
    monkeypatch.setattr(Ssh, "run", lambda _, script: host.run(script).replace(str(host.root), ROOT))
    monkeypatch.setattr(Ssh, "run_with", lambda _, script, data: host.run(script, data))
    site = Inventory("prod", Path("prod.py"), (Host("h1", frozenset(), site_settings()),))
    (pushed,) = push(site, lambda _: News("keys", old, {}), held_already)
    first.join()
    assert "does not say that it goes by the new keys" in pushed.problem
    assert host.ids() == {"current": before.id, "previous": before.id}
    assert host.keys() == version_of(old[KEYS_FILE].content)
    host.take(OF_GATEWAY)
    assert host.run(stale, packed(old)) == "moved\n" and host.ids()["current"] != before.id
