"""What turns unpacked code into a control node. The whole of it runs on one, in tests/lab."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sealift.errors import SealiftError
from sealift.install.activate import activate, remove_old
from sealift.install.content import ControlPart, Package, control_part
from sealift.install.environment import deployment_folder, make_environment
from sealift.install.from_media import room_needed
from sealift.install.machine import check_machine, check_room, has_links
from sealift.install.packages import Installed, install_packages, mask_services
from sealift.install.start import Item, Media
from tests.unit.killing import killed_at

HEX = "ab" * 32


def blob(size: int = 3) -> dict[str, Any]:
    return {"digest": f"sha256:{HEX}", "size": size}


def lock(**control: Any) -> dict[str, Any]:
    """The keys of a lock that are looked at."""
    deb = {"name": "aria2", "version": "1.37.0-1", "groups": ["control"], "blob": blob(7)}
    return {
        "release": {"name": "demo", "version": "2026.11.0", "suite": "trixie"},
        "packages": [deb, {**deb, "name": "docker.io", "groups": ["all"]}],
        "control": {
            "code": blob(),
            "requirements": blob(4),
            "wheels": [{"file": "pip-26.3-py3-none-any.whl", "blob": blob(5)}],
            **control,
        },
    }


def parsed(content: Any) -> ControlPart:
    return control_part(json.dumps(content).encode(), "sha256:00")


def never(item: Item, target: Path) -> None:
    raise AssertionError(f"{item} was asked for")


def test_the_control_part_of_a_lock_is_its_own_packages_wheels_and_code() -> None:
    control = parsed(lock())
    assert (control.release, control.suite, control.bundle) == ("demo:2026.11.0", "trixie", "sha256:00")
    assert control.packages == (Package("aria2", "1.37.0-1", Item("aria2.deb", HEX, 7)),)
    assert control.wheels == (Item("pip-26.3-py3-none-any.whl", HEX, 5),)
    assert (control.code.size, control.requirements.size) == (3, 4)


def test_another_wheel_makes_another_environment() -> None:
    other = lock(wheels=[{"file": "pip-26.4-py3-none-any.whl", "blob": blob(5)}])
    assert parsed(lock()).python == parsed(lock()).python != parsed(other).python


def test_other_wheels_that_cannot_be_had_leave_what_is_in_force_as_it_is(tmp_path: Path) -> None:
    """The same code: what was in force was once removed first, for it was in the same folder."""
    now = parsed(lock())
    new = parsed(lock(wheels=[{"file": "pip-26.4-py3-none-any.whl", "blob": blob(5)}]))
    deployment, command = deployment_folder(tmp_path, now), tmp_path / "sealift"
    (deployment / ".venv/bin").mkdir(parents=True)
    (deployment / ".venv/bin/sealift").write_text("works")
    (deployment / ".venv/installed").write_text(now.python)
    activate(deployment, tmp_path, command)
    assert not make_environment(now, never, deployment)
    with pytest.raises(AssertionError, match=r"pip-26\.4-py3-none-any\.whl.* was asked for"):
        make_environment(new, never, deployment_folder(tmp_path, new))
    assert command.read_text() == "works"


def test_what_makes_an_environment_ends_with_a_killed_installation(tmp_path: Path) -> None:
    """Else it would write into the environment that the next run makes. Python is a stand-in here."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python3"
    python.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/started\nexec sleep 60\n")
    python.chmod(0o755)
    child = os.fork()
    if child == 0:
        sys.base_prefix = str(tmp_path)
        make_environment(parsed(lock()), never, tmp_path / "deployment")
        os._exit(1)
    until(lambda: (tmp_path / "started").exists() and (tmp_path / "started").read_text().endswith("\n"))
    started = int((tmp_path / "started").read_text())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        until(lambda: not is_running(started))
    finally:
        with suppress(ProcessLookupError):
            os.kill(started, signal.SIGKILL)


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Not ended, and not waited for by whoever takes in orphans."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_release_without_control_says_what_to_do() -> None:
    with pytest.raises(
        SealiftError, match=r"^demo:2026\.11\.0: has nothing for a control node, expected `control`"
    ):
        parsed({**lock(), "control": None})


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {**lock(), "release": []},
        lock(wheels=[{"file": "../../etc/cron.d/x", "blob": blob()}]),
        lock(wheels=[{"file": "-e", "blob": blob()}]),
        lock(wheels=[{"file": 7, "blob": blob()}]),
        lock(wheels={"file": "a.whl"}),
        lock(code={"digest": "sha256:../../etc/passwd", "size": 1}),
        lock(code={"digest": f"sha256:{HEX}\n", "size": 1}),
        lock(code=None),
        {**lock(), "packages": [{"name": "../x", "version": "1", "groups": ["control"], "blob": blob()}]},
        {**lock(), "packages": [{"name": "x", "version": 1, "groups": ["control"], "blob": blob()}]},
    ],
)
def test_what_is_no_lock_is_refused(wrong: Any) -> None:
    with pytest.raises(SealiftError, match=r"^lock: is not as sealift lock writes it .* Lock and build"):
        parsed(wrong)


def test_what_is_no_json_is_refused() -> None:
    for content in (b"", b"{", b"[" * 100_000, b"\xff"):
        with pytest.raises(SealiftError, match=r"^lock: is not as sealift lock writes it"):
            control_part(content, "sha256:00")


def test_another_debian_is_refused() -> None:
    other = {**lock(), "release": {"name": "demo", "version": "1", "suite": "buzz"}}
    with pytest.raises(
        SealiftError, match=r"^this machine: is .*, expected debian buzz x86_64, for which demo:1 was"
    ):
        check_machine(parsed(other))


def _free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 100)
    check_room({tmp_path: 100})
    with pytest.raises(SealiftError, match=rf"^{tmp_path}: has 100 bytes free, expected 101\. Make room"):
        check_room({tmp_path: 101})


def test_what_goes_to_one_disk_is_reckoned_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _free(monkeypatch, 100)
    depot = tmp_path / "depot"
    depot.mkdir()
    told = rf"^{tmp_path} and {depot}: have 100 bytes free, expected 120\. Make room"
    with pytest.raises(SealiftError, match=told):
        check_room({tmp_path: 60, depot: 60})
    check_room({tmp_path: 60, Path("/proc"): 60})  # on disks of their own


@pytest.mark.parametrize(("shared", "bundle"), [(True, 1012), (False, 2024)])
def test_the_room_is_for_packages_wheels_and_the_whole_bundle(
    tmp_path: Path, shared: bool, bundle: int
) -> None:
    table = "".join(f"file {HEX} {size} blobs/sha256/{size}\n" for size in (5, 7, 1000))
    media = Media([], f"sealift media 1\n{table}".encode())
    control = parsed(lock())  # a package of 7 bytes, a wheel of 5
    needed = {tmp_path: 7 + 6 * 5, tmp_path / "depot": bundle}
    assert room_needed(tmp_path, media, control, shared) == needed


def test_whether_files_can_have_second_names_is_tried_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".link").touch()  # of a killed run
    assert has_links(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "as FAT says it")

    monkeypatch.setattr(os, "link", refuse)
    assert not has_links(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_there_in_that_version_or_a_newer_one_stays(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    here = [Package("dpkg", "0.1", Item("dpkg.deb", HEX, 1))]
    assert install_packages(here, never, scratch) == Installed((), ())
    assert not scratch.exists()


def test_a_tracker_is_kept_from_listening_and_an_administrators_setting_stays(tmp_path: Path) -> None:
    tracker = tmp_path / "system/opentracker.service"
    others = [Package(name, "1", Item(f"{name}.deb", HEX, 1)) for name in ("aria2", "opentracker")]
    mask_services(others, tmp_path / "system")
    assert [path.name for path in (tmp_path / "system").iterdir()] == [tracker.name]
    assert tracker.readlink() == Path("/dev/null")
    tracker.unlink()
    tracker.write_text("of the site")
    mask_services(others, tmp_path / "system")
    assert tracker.read_text() == "of the site"


def test_links_put_a_deployment_in_force_and_a_second_time_change_nothing(tmp_path: Path) -> None:
    command = tmp_path / "bin/sealift"
    for name in ("a", "b"):
        deployment = tmp_path / "to/deployments" / name
        (deployment / ".venv/bin").mkdir(parents=True)
        (deployment / ".venv/bin/sealift").write_text(name)
        assert activate(deployment, tmp_path / "to", command)
        assert not activate(deployment, tmp_path / "to", command)
        assert command.read_text() == name
        assert (tmp_path / "to/deployment").readlink() == Path("deployments") / name
    assert (tmp_path / "to/deployment-before").readlink() == Path("deployments/a")
    names = ["deployment", "deployment-before", "deployments"]
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == names


def _put_in_force(to: Path, *names: str) -> list[tuple[str, ...]]:
    """Deployments one after the other, and what was removed behind each."""
    removed = []
    for name in names:
        (to / "deployments" / name / ".venv/bin").mkdir(parents=True, exist_ok=True)
        (to / "deployments" / name / ".venv/bin/sealift").write_text(name)
        activate(to / "deployments" / name, to, to / "sealift")
        removed.append(remove_old(to))
    return removed


def _there(to: Path) -> list[str]:
    return sorted(path.name for path in (to / "deployments").iterdir())


A, B, C, D = (letter * 16 for letter in "abcd")


def test_the_deployment_in_force_and_the_one_before_it_stay(tmp_path: Path) -> None:
    assert _put_in_force(tmp_path, A, B, B, A, A) == [()] * 5
    assert _there(tmp_path) == [A, B]
    assert _put_in_force(tmp_path, C, C, D) == [(B,), (), (A,)]
    assert _there(tmp_path) == [C, D]


def test_the_deployment_that_runs_now_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other name").symlink_to(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "other name/deployments" / A / ".venv"))
    assert _put_in_force(tmp_path, A, B, C, D)[2:] == [(), (B,)]
    assert _there(tmp_path) == [A, C, D]


def test_nothing_but_deployments_is_removed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    _put_in_force(tmp_path, A)
    deployments = tmp_path / "deployments"
    for name in ("abc", "f" * 17, "F" * 16, f".{A}", f"{A}.old", "lost+found"):
        (deployments / name).mkdir()
    (deployments / ("0" * 16)).symlink_to(tmp_path / "elsewhere")
    (deployments / ("1" * 16)).write_text("a file")
    before = set(_there(tmp_path))
    assert _put_in_force(tmp_path, B, C) == [(), (A,)]
    assert set(_there(tmp_path)) == before - {A} | {B, C}


def test_several_deployments_stay_while_nothing_says_which_was_before(tmp_path: Path) -> None:
    """As installations left them that did not say it yet."""
    for name in (A, B, C):
        (tmp_path / "deployments" / name).mkdir(parents=True)
    assert _put_in_force(tmp_path, C) == [()]
    assert _there(tmp_path) == [A, B, C]
    assert _put_in_force(tmp_path, D) == [(A, B)]


def test_killed_at_any_step_two_deployments_stay_and_the_rest_goes_the_next_time(tmp_path: Path) -> None:
    step = 0
    for step in range(1, 1000):
        to = tmp_path / f"killed{step}"
        _put_in_force(to, A, B)
        (to / "deployments" / f".{D}.partial").mkdir()  # its unpacking was killed
        if not killed_at(step, lambda to=to: _put_in_force(to, C)):  # type: ignore[misc]
            break
        now = (to / "deployment").resolve()
        assert now.name in (B, C)
        assert {B, C} <= set(_there(to))
        for name in {A, B} & set(_there(to)):  # what has its name is whole
            assert (to / "deployments" / name / ".venv/bin/sealift").read_text() == name
        _put_in_force(to, C)
        assert _there(to) == [B, C]
        assert (to / "deployment").resolve().name == C
    assert step > 8


def test_a_command_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    command = tmp_path / "sealift"
    command.write_text("somebody's own")
    with pytest.raises(SealiftError, match=f"^{command}: is there and no link"):
        activate(tmp_path / "to/deployments/a", tmp_path / "to", command)
    assert command.read_text() == "somebody's own"
