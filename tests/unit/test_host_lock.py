"""The rollout lock of hosts: its real scripts, on folders of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.fleet import host_lock
from sealift.fleet.host_lock import Owner, host_held, hosts_held, lock_problem, owner
from sealift.ssh import Ssh

OURS, THEIRS = Owner("0123", "root on control"), Owner("4567", "ann on laptop")


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The lock of hosts that are this machine."""

    def command(_: Ssh, script: str, *arguments: str) -> list[str]:
        return ["sh", "-c", f"echo Welcome; {script}", "sealift", *arguments]

    monkeypatch.setattr(Ssh, "command", command)
    monkeypatch.setattr(host_lock, "LOCK", str(tmp_path / "sealift/rollout.lock"))
    yield tmp_path / "sealift/rollout.lock"
    assert [path.name for path in lock_folder(tmp_path) if path.name != "rollout.lock"] == []


def lock_folder(folder: Path) -> list[Path]:
    return list((folder / "sealift").iterdir())


HOSTS = [Ssh("h1", Path("ssh_config"))]


def test_a_second_control_node_is_refused_with_the_first_ones_name(lock: Path) -> None:
    with hosts_held(HOSTS, OURS):
        assert lock.read_text().startswith("0123 root on control, since 20")
        with (
            pytest.raises(SealiftError, match=r"^h1: another rollout is running there, by root on control, "),
            hosts_held(HOSTS, THEIRS),
        ):
            pass
        assert lock.read_text().startswith("0123 ")
    assert not lock.exists()
    with hosts_held(HOSTS, THEIRS):
        pass


def test_who_comes_back_takes_over_what_a_killed_rollout_left(lock: Path) -> None:
    lock.parent.mkdir()
    lock.write_text("0123 root on control, since yesterday\n")
    with hosts_held(HOSTS, OURS):
        assert "yesterday" not in lock.read_text()
    assert not lock.exists()


def test_a_lock_that_says_nothing_is_nobodys_to_take(lock: Path) -> None:
    lock.parent.mkdir()
    lock.touch()
    with pytest.raises(SealiftError, match="by an unknown one"), hosts_held(HOSTS, OURS):
        pass
    assert lock.exists()


def test_a_rollout_that_fails_frees_its_hosts(lock: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hosts_held(HOSTS, OURS):
        raise KeyboardInterrupt
    assert not lock.exists()


def test_a_rollout_that_has_to_go_on_keeps_its_hosts(lock: Path) -> None:
    with pytest.raises(KeyboardInterrupt), hosts_held(HOSTS, OURS, unfinished=lambda: True):
        raise KeyboardInterrupt
    assert lock.read_text().startswith("0123 ")


def test_keys_that_are_changed_meanwhile_leave_it_the_lock(lock: Path) -> None:
    (ssh,) = HOSTS
    with host_held(ssh, OURS):
        assert lock.exists()
    assert not lock.exists()
    lock.write_text("0123 root on control, since yesterday\n")
    with host_held(ssh, OURS):
        pass
    assert lock.read_text().startswith("0123 ")


def test_preflight_tells_how_a_stale_lock_is_broken() -> None:
    (ssh,) = HOSTS
    assert lock_problem(ssh, "", OURS) is None
    assert lock_problem(ssh, "0123 root on control, since yesterday", OURS) is None
    problem = lock_problem(replace(ssh, sudo=True), "4567 ann on laptop, since yesterday", OURS)
    assert problem is not None
    assert problem.startswith(
        "h1: another rollout is running there, by ann on laptop, since yesterday, expected"
    )
    assert problem.endswith(": ssh -F ssh_config h1 sudo rm /var/lib/sealift/rollout.lock")


def test_an_owner_is_a_depot_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert owner(Path("depot")) == owner(tmp_path / "depot") != owner(tmp_path / "other")
    monkeypatch.setattr("platform.node", lambda: "control2")
    assert owner(tmp_path / "depot").name.endswith(f" on control2 out of {tmp_path / 'depot'}")
