"""What check says of groups that nothing knows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sealift.site import check
from sealift.site.group_check import idle_files, idle_groups
from sealift.site.inventory import Host, Inventory
from tests.unit import samples
from tests.unit.fleet_site import site_settings


def inventory(folder: Path, *groups: str, files: tuple[str, ...] = ()) -> Inventory:
    """One of h1 in these groups, as pyinfra would read it, with these files of group data."""
    path = folder / "prod.py"
    path.write_text("llm = ['h1']\ngpu = []\n")
    (folder / "group_data").mkdir()
    for name in ("all", *files):
        (folder / f"group_data/{name}.py").touch()
    host = Host("h1", frozenset({"all", "prod", "llm", *groups}), site_settings())
    return Inventory("prod", path, (host,))


def test_a_group_that_nothing_knows_is_told_with_the_nearest_that_is_known(tmp_path: Path) -> None:
    assert list(idle_groups(inventory(tmp_path, "gpus", "rack1"), [samples.release()])) == [
        f"{tmp_path}/prod.py: no release, service or file of group_data knows the group gpus, so its hosts "
        "get nothing by it. Did you mean gpu?"
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"images": {"gateway": {"name": samples.GATEWAY, "groups": ["gpus"]}}},
        {"models": {samples.MODEL: {"groups": ["gpus"]}}},
        {"roles": {"chat": {"model": samples.MODEL, "groups": ["gpus"]}}},
        {"files": {"tool": {"path": "tool", "target": "/opt/tool", "group": "gpus"}}},
        {"packages": {**samples.release().model_dump(mode="json")["packages"], "gpus": ["hello"]}},
    ],
)
def test_a_group_that_the_release_knows_is_none_of_them(tmp_path: Path, changes: dict[str, Any]) -> None:
    site = inventory(tmp_path, "gpus")
    assert list(idle_groups(site, [samples.release(**changes)])) == []
    assert list(idle_groups(site, [samples.release()])) != []


def test_groups_of_services_and_of_files_are_none_of_them(tmp_path: Path) -> None:
    site = inventory(tmp_path, "gpu", "front", "monitor", "rack1", files=("rack1",))
    assert list(idle_groups(site, [samples.release()])) == []


def test_a_file_whose_group_is_not_there_is_told(tmp_path: Path) -> None:
    site = inventory(tmp_path, files=("gpus", "rack1", "gpu", "prod"))
    assert list(idle_files(site)) == [
        f"{tmp_path}/group_data/gpus.py: prod.py has no group gpus, so this file holds for no host. "
        "Did you mean gpu?",
        f"{tmp_path}/group_data/rack1.py: prod.py has no group rack1, so this file holds for no host. "
        "Add the group, or remove the file.",
    ]


@pytest.mark.parametrize("known", [True, False])
def test_check_tells_both_and_no_group_while_a_release_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    site = inventory(tmp_path, "gpus", files=("gpuz",))
    settings = site.hosts[0].settings
    found = {(settings.depot, settings.release): samples.release()} if known else {}
    monkeypatch.setattr(check, "load_inventory", lambda _: site)
    monkeypatch.setattr(check, "_releases", lambda _: (found, [] if known else ["missing"]))
    told = check.check_site("prod", datetime.now(UTC)).warnings
    assert [line for line in told if "gpuz.py: prod.py has no group gpuz" in line]
    assert bool([line for line in told if "knows the group gpus" in line]) == known
