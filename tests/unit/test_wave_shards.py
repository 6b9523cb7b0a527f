"""A wave of many hosts: several processes of pyinfra, one result. Something stands in for pyinfra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.fleet import wave
from sealift.fleet.wave import Watch, apply_wave
from sealift.host.settings import SiteSettings
from sealift.site.inventory import Host, Inventory

# Every host that it is limited to has one operation; where one is called `bad`, it gives no report.
_PYINFRA = """\
import json, sys
hosts = [after for before, after in zip(sys.argv, sys.argv[1:]) if before == "--limit"]
print("--> Starting operation: Do it", file=sys.stderr)
if "bad" in hosts:
    sys.exit("bad: it cannot be done")
operation = {"name": "Do it", "success": hosts, "error": [], "no_change": []}
print(json.dumps({"results": {"operations": [operation], "failed_hosts": []}}))
"""


@pytest.fixture(autouse=True)
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyinfra.py").write_text(_PYINFRA)
    (tmp_path / "deploy.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(wave, "PYINFRA", (sys.executable, str(tmp_path / "pyinfra.py")))
    monkeypatch.setattr(wave, "MOST", 3)


def _wave(*names: str) -> wave.WaveResult:
    hosts = tuple(Host(name, frozenset(), SiteSettings.model_construct()) for name in names)
    site = Inventory("site", Path("site.py"), hosts)
    return apply_wave(site, Path("logs/wave.log"), Watch(lambda _: None, lambda _: None))


@pytest.mark.parametrize(("count", "shares"), [(1, [1]), (3, [3]), (4, [2, 2]), (7, [2, 2, 3])])
def test_no_process_has_too_many_hosts_and_each_host_is_in_one(count: int, shares: list[int]) -> None:
    hosts = tuple(Host(f"h{number}", frozenset(), SiteSettings.model_construct()) for number in range(count))
    shards = wave.shards(hosts)
    assert [len(shard) for shard in shards] == shares
    assert tuple(host for shard in shards for host in shard) == hosts


def test_what_processes_did_is_one_result_in_the_inventorys_order() -> None:
    names = tuple(f"h{number}" for number in range(7))
    result = _wave(*names)
    assert result.ok and tuple(result.hosts) == names
    assert {host.changed for host in result.hosts.values()} == {("Do it",)}
    assert sorted(path.name for path in Path("logs").iterdir()) == ["wave.2.log", "wave.3.log", "wave.log"]


def test_a_process_without_a_report_is_told_of_and_the_others_have_done_theirs() -> None:
    with pytest.raises(SealiftError, match=r"bad: it cannot be done.*wave\.2\.log"):
        _wave("h1", "h2", "bad", "h3")
    assert "Starting operation" in Path("logs/wave.log").read_text()
