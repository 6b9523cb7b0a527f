"""Operations and facts, run by pyinfra itself on this machine, on folders of the test's own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sealift.facts.apt import DpkgState, InstalledPackages
from sealift.facts.docker import Daemon, DaemonState
from sealift.facts.nvidia import CdiState, NvidiaCdi
from sealift.facts.text import TextFile
from sealift.site.reading import PYINFRA

DEPLOY = """
from sealift.operations.text import links_present, text_absent, text_present

text_present(name="Write", path="{folder}/etc/a file", content="secret\\n", mode="600")
text_absent(name="Remove", path="{folder}/old")
links_present(name="Link", folder="{folder}/pool", links={{"one": "../1", "two": "../2"}})
"""
LEFT = """
from sealift.operations.compose import path_absent

for name in ("link", "folder", "nothing"):
    path_absent(name=name, path="{folder}/left/" + name)
"""


def apply(folder: Path, deploy: str = DEPLOY) -> dict[str, Any]:
    """The names of the operations that changed something and of those that did not."""
    (folder / "deploy.py").write_text(deploy.format(folder=folder))
    command = [*PYINFRA, "@local", "deploy.py", "-y", "--json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    operations = json.loads(ran.stdout)["results"]["operations"]
    return {operation["name"]: bool(operation["success"]) for operation in operations}


def test_files_and_links_are_repaired_one_by_one_and_otherwise_left_alone(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "stray").touch()
    (tmp_path / "pool" / "one").symlink_to("../wrong")

    assert apply(tmp_path) == {"Write": True, "Remove": True, "Link": True}
    written = tmp_path / "etc" / "a file"
    assert (written.read_text(), written.stat().st_mode & 0o777) == ("secret\n", 0o600)
    assert [path.name for path in written.parent.iterdir()] == ["a file"]
    assert not (tmp_path / "old").exists()
    links = {path.name: str(path.readlink()) for path in (tmp_path / "pool").iterdir()}
    assert links == {"one": "../1", "two": "../2"}

    assert apply(tmp_path) == {"Write": False, "Remove": False, "Link": False}
    written.chmod(0o644)
    assert apply(tmp_path) == {"Write": True, "Remove": False, "Link": False}


def test_whatever_a_container_left_goes_and_nothing_that_it_leads_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in (tmp_path / "left/folder", other):
        path.mkdir(parents=True)
    (other / "file").touch()
    for link in ("link", "folder/link"):
        (tmp_path / "left" / link).symlink_to(other)
    assert apply(tmp_path, LEFT) == {"link": True, "folder": True, "nothing": False}
    assert list((tmp_path / "left").iterdir()) == [] and (other / "file").exists()
    assert apply(tmp_path, LEFT) == {"link": False, "folder": False, "nothing": False}


def test_a_link_in_a_files_place_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    command = TextFile().command(path=str(tmp_path / "link"))
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout == b""


def test_dpkg_is_read_on_this_machine() -> None:
    command = InstalledPackages().command()
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    state = InstalledPackages().process(ran.stdout.splitlines())
    shown = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", "dpkg"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert state.versions["dpkg"] == shown.stdout


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (["ii \tdocker.io\t26.1"], DpkgState({"docker.io": "26.1"})),
        (["hi \tdocker.io\t26.1"], DpkgState({"docker.io": "26.1"})),
        (["rc \tdocker.io\t26.1"], DpkgState()),
        (["un \tdocker.io\t"], DpkgState()),
        (["iU \trunc\t1.1"], DpkgState(interrupted=True)),
        (["iHR\tcontainerd\t1.7"], DpkgState(interrupted=True)),
        (["iF \trunc\t1.1"], DpkgState(interrupted=True)),
        (["ii \trunc\t1.1", "journal"], DpkgState({"runc": "1.1"}, interrupted=True)),
    ],
)
def test_a_package_counts_only_when_wholly_installed(lines: list[str], state: DpkgState) -> None:
    assert InstalledPackages().process(lines) == state


@pytest.mark.parametrize(
    ("active", "configured", "current"),
    [
        ("active", "1795264091.000000", True),  # a second before it started
        ("active", "1795264092.500000", False),  # after
        ("active", "1795264092.123456", False),  # at the same moment: restarted rather than trusted
        ("failed", "1795264091.000000", False),
    ],
)
def test_a_dockerd_older_than_its_configuration_is_not_current(
    active: str, configured: str, current: bool
) -> None:
    lines = [
        "UnitFileState=enabled",
        f"ActiveState={active}",
        "ExecMainStartTimestamp=Sat 2026-11-21 12:28:12.123456 UTC",
        f"Configured={configured}",
    ]
    state = Daemon().process(lines)
    assert state.enabled
    assert state.runs_its_configuration is current


def test_no_docker_is_a_docker_that_does_not_run() -> None:
    lines = ["ActiveState=inactive", "UnitFileState=", "ExecMainStartTimestamp="]
    assert Daemon().process(lines) == Daemon().default() == DaemonState()


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (["driver 550.54.15"], CdiState("550.54.15")),
        (["driver 550.54.15", "current"], CdiState("550.54.15", spec_is_current=True)),
    ],
)
def test_a_cdi_specification_is_current_only_for_the_loaded_driver(lines: list[str], state: CdiState) -> None:
    assert NvidiaCdi().process(lines) == state
