"""What hosts are told of their generations, in a folder of the test, beside a systemd that only listens."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.fleet.generations import _SCRIPT, confirm, parse_stands
from sealift.host.garbage import GARBAGE
from sealift.host_paths import ROOT
from sealift.site.inventory import Host
from sealift.ssh import Ssh
from tests.unit.fleet_site import site_settings

OLD, NEW = "a" * 12, "b" * 12
RELEASE = {"release": "demo:2026.11.0", "bundle": f"sha256:{'1' * 64}", "roles": {}}
_SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>{folder}/told
case "$1 $2" in
    "is-active sealift-return.service") cat {folder}/active ;;
    "show --property=SubState")
        cat {folder}/sub
        if [ -e {folder}/recovers ] && [ "$(cat {folder}/sub)" = auto-restart ]; then
            rm {folder}/recovers
            rm {folder}/sealift/armed
            echo dead >{folder}/sub
        fi ;;
    "stop --quiet" | "disable --quiet" | "enable --quiet")
        if [ "$(cat {folder}/power-fails-at 2>&1)" = "$1" ]; then kill -KILL $PPID; fi ;;
    "start --no-block")
        echo start >{folder}/sub
        if [ ! -e {folder}/sealift/armed ]; then
            echo dead >{folder}/sub # the unit's condition
        elif sh {folder}/sealift/previous/restore.sh >{folder}/run.log 2>&1; then
            rm {folder}/sealift/armed
            echo dead >{folder}/sub
        else
            echo auto-restart >{folder}/sub
        fi ;;
esac
"""


class Machine:
    """A host with two generations, the older of which is the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.units = folder, folder / "sealift", folder / "units"
        self.units.mkdir()
        (self.root / "generations").mkdir(parents=True)
        (folder / "bin").mkdir()
        tool = folder / "bin/systemctl"
        tool.write_text(_SYSTEMCTL.format(folder=folder))
        tool.chmod(0o755)
        self.active("inactive")
        (folder / "sub").write_text("dead")
        for each in (OLD, NEW):
            self.generation(each)
        self.point("current", NEW)
        self.point("previous", OLD)

    def active(self, state: str) -> None:
        """Have systemd say that the host is going back, or is not."""
        (self.folder / "active").write_text(state)

    def generation(self, name: str, restorable: bool = True) -> None:
        folder = self.root / "generations" / name
        folder.mkdir(exist_ok=True)
        (folder / "release.json").write_text(json.dumps(RELEASE, indent=1))
        if restorable:
            (folder / "record").write_text("format 1\n")
            (folder / "restore.sh").write_text(f"echo back on {name}\n")

    def point(self, link: str, name: str) -> None:
        (self.root / link).unlink(missing_ok=True)
        (self.root / link).symlink_to(f"generations/{name}")

    def tell(self, *asked: str) -> subprocess.CompletedProcess[str]:
        script = _SCRIPT.replace("/etc/systemd/system", str(self.units))
        script = script.replace("/run/$unit.log", f"{self.folder}/run.log")
        assert "\npatience=600" in script
        script = script.replace("\npatience=600", "\npatience=3")
        path = f"{self.folder}/bin:/usr/bin:/bin"
        command = ["sh", "-c", script, "sealift", str(self.root), *asked]
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": path}, check=False)

    def ok(self, *asked: str) -> str:
        ran = self.tell(*asked)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def refuses(self, *asked: str) -> str:
        ran = self.tell(*asked)
        assert ran.returncode == 1, ran.stdout
        return ran.stderr

    def link(self, name: str) -> str:
        return (self.root / name).readlink().name

    @property
    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_host_says_what_it_has(machine: Machine) -> None:
    stands = parse_stands("h1", machine.ok("stands"))
    assert stands.current and stands.current.id == NEW and stands.current.release == "demo:2026.11.0"
    assert stands.back() == stands.previous and stands.previous and stands.previous.id == OLD
    assert stands.back(NEW) == stands.current and stands.back("c" * 12) is None
    assert not (stands.armed or stands.unconfirmed or stands.returned) and stands.within_s is None


def test_one_without_a_record_is_none_to_go_back_to(machine: Machine) -> None:
    for name in ("record", "restore.sh"):
        (machine.root / "generations" / OLD / name).unlink()
    stands = parse_stands("h1", machine.ok("stands"))
    assert stands.previous and not stands.previous.restorable and stands.back() is None


def test_a_bare_host_has_none_and_is_not_armed(machine: Machine) -> None:
    (machine.root / "current").unlink()
    (machine.root / "previous").unlink()
    stands = parse_stands("h1", machine.ok("stands"))
    assert stands.current is None and stands.back() is None
    assert machine.ok("arm", "60") == "" and machine.told == []


def test_arming_makes_the_generation_in_force_the_one_to_go_back_to(machine: Machine) -> None:
    machine.ok("arm", "600")
    assert machine.link("previous") == machine.link("current") == NEW
    timer = (machine.units / "sealift-return.timer").read_text()
    assert "OnActiveSec=600\n" in timer and "OnCalendar" not in timer  # a clock that jumps does not matter
    assert f"{machine.root}/previous/restore.sh" in (machine.units / "sealift-return.service").read_text()
    assert machine.told[-2:] == ["enable --quiet sealift-return.timer", "restart sealift-return.timer"]
    stands = parse_stands("h1", machine.ok("stands"))
    assert stands.armed and stands.unconfirmed and stands.within_s == 600


def test_armed_again_the_time_begins_anew_and_the_last_good_one_stays(machine: Machine) -> None:
    machine.ok("arm", "600")
    machine.point("current", OLD)  # the one that is tried
    machine.ok("arm", "30")
    assert machine.link("previous") == NEW
    assert "OnActiveSec=30\n" in (machine.units / "sealift-return.timer").read_text()
    assert machine.told[-1] == "restart sealift-return.timer"


def test_what_a_killed_apply_left_is_not_the_last_good_one(machine: Machine) -> None:
    (machine.root / "unconfirmed").touch()
    machine.ok("arm", "600")
    assert machine.link("previous") == OLD


def test_a_generation_that_no_timer_can_bring_back_is_not_armed(machine: Machine) -> None:
    (machine.root / "generations" / NEW / "restore.sh").unlink()
    assert "of an older sealift" in machine.refuses("arm", "60")
    assert not (machine.root / "armed").exists() and machine.link("previous") == OLD


def test_confirmed_nothing_is_left_of_the_timer(machine: Machine) -> None:
    machine.ok("arm", "600")
    machine.ok("confirm")
    assert list(machine.units.iterdir()) == [] and not (machine.root / "armed").exists()
    assert "disable --quiet sealift-return.timer" in machine.told
    before = len(machine.told)
    machine.ok("confirm")  # once more, as after a crash
    assert machine.told[before:] == ["is-active sealift-return.service"]


def test_a_host_that_went_back_is_not_confirmed(machine: Machine) -> None:
    (machine.root / "returned").write_text(f"2026-11-29T20:00:00Z {OLD}\n")
    assert f"went back by itself (2026-11-29T20:00:00Z {OLD})" in machine.refuses("confirm")
    machine.ok("arm", "60")
    machine.ok("confirm")


def test_only_a_host_that_waits_still_is_kept_waiting(machine: Machine) -> None:
    assert machine.ok("keep", "60") == "" and machine.told == []
    machine.ok("arm", "600")
    machine.point("current", OLD)
    machine.ok("keep", "30")
    assert "OnActiveSec=30\n" in (machine.units / "sealift-return.timer").read_text()
    (machine.root / "returned").write_text(f"2026-11-29T20:00:00Z {NEW}\n")
    assert "went back by itself" in machine.refuses("keep", "30")
    assert (machine.root / "returned").exists()


@pytest.mark.parametrize("asked", [("arm", "60"), ("confirm",)])
def test_a_host_that_is_going_back_is_left_alone(machine: Machine, asked: tuple[str, ...]) -> None:
    machine.active("activating")
    assert "is going back just now" in machine.refuses(*asked)


def test_confirmed_without_anything_new_the_generation_before_stays_the_one_to_go_back_to(
    machine: Machine,
) -> None:
    machine.ok("arm", "600")
    machine.ok("arm", "600")
    machine.ok("confirm")
    assert (machine.link("current"), machine.link("previous")) == (NEW, OLD)
    machine.ok("arm", "600")
    machine.point("current", "c" * 12)  # this time something came
    machine.ok("confirm")
    assert machine.link("previous") == NEW and not (machine.root / "before").exists()


def test_a_generation_before_that_is_gone_is_not_pointed_at(machine: Machine) -> None:
    machine.ok("arm", "600")
    for path in (machine.root / "generations" / OLD).iterdir():
        path.unlink()
    (machine.root / "generations" / OLD).rmdir()
    machine.ok("confirm")
    assert machine.link("previous") == NEW


def test_a_host_is_armed_only_with_a_generation_that_can_bring_it_back(machine: Machine) -> None:
    (machine.root / "unconfirmed").touch()
    (machine.root / "generations" / OLD / "restore.sh").unlink()
    assert f"its generation {OLD} is of an older sealift" in machine.refuses("arm", "60")
    assert not (machine.root / "armed").exists() and list(machine.units.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "at"), [(("arm", "60"), "enable"), (("confirm",), "stop"), (("confirm",), "disable")]
)
def test_no_power_cut_leaves_a_host_armed_without_its_timer(
    machine: Machine, asked: tuple[str, ...], at: str
) -> None:
    if asked == ("confirm",):
        machine.ok("arm", "60")
    (machine.folder / "power-fails-at").write_text(at)
    assert machine.tell(*asked).returncode != 0
    units = {path.name for path in machine.units.iterdir()}
    assert not (machine.root / "armed").exists() or "sealift-return.timer" in units
    assert (
        f"ConditionPathExists={machine.root}/armed" in (machine.units / "sealift-return.service").read_text()
    )
    # or it would only be there until the next boot
    assert not (machine.root / "armed").exists() or not [line for line in machine.told if "disable" in line]


def test_a_host_that_comes_back_at_a_later_attempt_is_waited_for(machine: Machine) -> None:
    (machine.root / "generations" / OLD / "restore.sh").write_text("echo no space left; exit 1\n")
    (machine.folder / "recovers").touch()
    assert machine.ok("go_back") == "no space left\n"


def test_what_cannot_be_removed_does_not_unmake_a_confirmed_host(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: Ssh, script: str, *asked: str, timeout_s: float = 60) -> str:
        if script == GARBAGE:
            raise SealiftError("h1: no answer within 60 s. Look at its load and at the network.")
        return machine.ok(*asked[1:])

    monkeypatch.setattr(Ssh, "run", run)
    machine.ok("arm", "600")
    done = confirm([Host("h1", frozenset(), site_settings())])
    assert done.errors == {} and "were not removed: h1: no answer" in done.results["h1"]
    assert not (machine.root / "armed").exists()


def test_a_host_goes_back_by_its_own_unit(machine: Machine) -> None:
    assert machine.ok("go_back") == f"back on {OLD}\n"
    assert "OnActiveSec=60\n" in (machine.units / "sealift-return.timer").read_text()  # after a power cut
    assert machine.ok("go_back", NEW) == f"back on {NEW}\n"
    assert machine.link("previous") == NEW


def test_what_keeps_a_host_from_going_back_is_said(machine: Machine) -> None:
    assert f"has no generation {'c' * 12}" in machine.refuses("go_back", "c" * 12)
    machine.generation("d" * 12, restorable=False)
    assert "is of an older sealift and has no record" in machine.refuses("go_back", "d" * 12)
    (machine.root / "generations" / OLD / "restore.sh").write_text("echo no space left; exit 1\n")
    assert "tries again every 30 s: no space left" in machine.refuses("go_back")
    (machine.root / "previous").unlink()
    assert "no generation to go back to" in machine.refuses("go_back")
    (machine.root / "current").unlink()
    assert "nothing is deployed" in machine.refuses("go_back")


def test_the_scripts_name_sealifts_folder_as_all_else_does() -> None:
    assert ROOT in (Path(__file__).parents[2] / "sealift/host/restore.sh").read_text()
