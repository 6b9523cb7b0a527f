"""What status shows, and what it publishes, of what hosts say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from sealift.cli import status_view
from sealift.cli.status_view import _row, _table, changes, data, wrong
from sealift.drift.look import Look
from sealift.drift.status import HostStatus
from sealift.fleet.figures import Figures, GpuFigures, RoleFigures, parse_figures
from sealift.fleet.status import parse_status
from sealift.host_paths import PUBLISHED, PUBLISHED_BLOBS
from sealift.site.certificate_files import read_certificates
from sealift.site.init import make_site
from sealift.site.inventory import load_inventory, parse_inventory
from sealift.site.secrets import ClientKeys, Secrets, new_key
from sealift.watch.firing import Alert
from sealift.watch.fleet_series import PUT, Found, fleet_series
from tests.unit.docker_said import container, failed, listed, loaded
from tests.unit.fleet_site import BUNDLE, DATA, MODEL
from tests.unit.test_site import site

ROOT = Path(__file__).parents[2]
RELEASE = {"release": "demo:2026.11.0", "bundle": BUNDLE, "roles": {"chat": MODEL, "embed": "minilm"}}
OLLAMA, GATEWAY = (container(f"sealift-{name}", "running", "healthy") for name in ("ollama", "gateway"))
BUDGETS = container("sealift-budgets", "exited")
SAID = f"""\
generation=0123456789ab
release={json.dumps(RELEASE)}
{listed(OLLAMA, GATEWAY, BUDGETS)}
{loaded("chat:latest")}
figures_age=30
figure=sealift_role_up{{role="chat",model="{MODEL}"}} 1
figure=sealift_role_degraded{{role="chat"}} 1
figure=sealift_role_answer_seconds{{role="chat"}} 6.25
figure=sealift_gpu_utilization_ratio{{gpu="0",name="H200 \\"x\\""}} 0.5
figure=sealift_gpu_temperature_celsius{{gpu="0",name="H200"}} 41
heartbeat_age=12
disk_size=4000
free=1000
end=
"""


def host(text: str = SAID, **more: Any) -> HostStatus:
    return HostStatus("h1", "demo:2026.11.0", parse_status("h1", text), None, more.pop("differs", ()), **more)


def test_what_the_probe_measured_is_read_with_the_rest() -> None:
    found = parse_status("h1", SAID)
    assert (found.disk_free, found.disk, found.heartbeat_age) == (1000, 4000, 12)
    assert found.figures == Figures(
        30,
        {"chat": RoleFigures(up=True, degraded=True, answer_seconds=6.25)},
        {"0": GpuFigures("H200", utilization=0.5, temperature=41)},
    )


@pytest.mark.parametrize(
    "line",
    [
        *("sealift_role_up", "sealift_role_up{} 1", 'sealift_role_up{role="chat"} nan', "{} 1", " 1"),
        *('sealift_role_up{role="chat"} 1 2', 'sealift_role_up{role="chat} 1', 'sealift_role_up{role="c"}1'),
        *('sealift_role_up{role="chat"} 1e999', 'sealift_role_up{role="chat"} ' + "1" * 50),
    ],
)
def test_lines_that_are_no_figures_are_passed_over(line: str) -> None:
    assert parse_figures(0, [line]) == Figures(0, {}, {})


ALERT = Alert("RoleSlow", "warning", "h1", "role=chat")


def test_a_host_is_one_row() -> None:
    drained = host(differs=("a differs", "b differs"), drained=True)
    assert list(_row(drained, Look((drained,), (ALERT,)), gpus=True)) == [
        "h1 (drained)",
        "demo:2026.11.0",
        "0123456789ab",
        "chat degraded; embed loading",
        "2 healthy, budgets exited",
        "1.0 kB (25 %)",
        "50% 41 °C",
        "1",
        "2 differences",
    ]
    gone = HostStatus("h2", "demo:2026.11.0", None, "h2: does not answer over SSH.", ())
    assert list(_row(gone, Look((gone,), None), gpus=False)) == ["h2", *"?????", "no answer"]
    assert list(wrong(gone)) == ["does not answer over SSH."]


def test_a_site_without_gpus_and_prometheus_has_no_columns_of_them() -> None:
    bare = host("end=\n")
    headers = [str(column.header) for column in _table(Look((bare,), None)).columns]
    assert headers == ["host", "release", "generation", "roles", "services", "disk free", "as wanted"]
    assert list(_row(bare, Look((bare,), None), gpus=False)) == ["h1", "-", "-", "-", "-", "-", "yes"]


def test_what_is_wrong_is_told_by_item() -> None:
    down = host(
        SAID.replace("heartbeat_age=12", failed("embed", "no room")), differs=("role embed: no room",)
    )
    assert list(wrong(down)) == ["role embed: no room", "role chat is degraded: answers in 6.2 s"]


def test_programs_get_all_of_it() -> None:
    (found,) = data(Look((host(),), (ALERT,)))
    assert found["serves"]["chat"] == {"state": "degraded", "why": "answers in 6.2 s"}
    assert found["alerts"] == [
        {"name": "RoleSlow", "severity": "warning", "host": "h1", "about": "role=chat"}
    ]
    assert (found["ok"], found["standing"]["figures"]["gpus"]["0"]["temperature"]) == (True, 41)
    json.dumps(found)
    assert data(Look((host(),), None))[0]["alerts"] is None


def test_watching_elsewhere_than_on_a_terminal_tells_changes() -> None:
    assert list(changes(None, {"h1: a"}, 1)) == ["looking at 1 host, 1 to look after", "now       h1: a"]
    assert list(changes(None, set(), 2)) == ["looking at 2 hosts, nothing to look after"]
    assert list(changes({"h1: a", "h1: b"}, {"h1: b", "h2: c"}, 2)) == ["now       h2: c", "no longer h1: a"]


FOUND = [
    Found("h1", 0, "0123456789ab", "demo:2026.11.0", drained=False),
    Found("h2", None, "", "", drained=True),
    Found('h"3\\', 4, "", "", drained=False),
]


ENDS = {"monitor": datetime(2029, 1, 1, tzinfo=UTC), "ca": datetime(2030, 1, 1, tzinfo=UTC)}


def test_what_is_published_is_what_was_found() -> None:
    lines = fleet_series(FOUND, {"crm": date(2027, 1, 31)}, ENDS, 1_800_000_000).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'sealift_fleet_answers{of="h1"} 1',
        'sealift_fleet_answers{of="h2"} 0',
        'sealift_fleet_answers{of="h\\"3\\\\"} 1',
        'sealift_fleet_differences{of="h1"} 0',
        'sealift_fleet_differences{of="h\\"3\\\\"} 4',
        'sealift_fleet_generation_info{of="h1",generation="0123456789ab",release="demo:2026.11.0"} 1',
        'sealift_fleet_generation_info{of="h\\"3\\\\",generation="",release=""} 1',
        'sealift_fleet_drained{of="h1"} 0',
        'sealift_fleet_drained{of="h2"} 1',
        'sealift_fleet_drained{of="h\\"3\\\\"} 0',
        'sealift_fleet_certificate_expiry_timestamp_seconds{certificate="ca"} 1893456000',
        'sealift_fleet_certificate_expiry_timestamp_seconds{certificate="monitor"} 1861920000',
        'sealift_fleet_key_expiry_timestamp_seconds{client="crm"} 1801440000',
        "sealift_fleet_checked_timestamp_seconds 1800000000",
    ]


def test_when_the_monitors_certificate_and_the_ca_end_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = load_inventory(str(make_site(site(tmp_path, monitors=("h1",)), tmp_path / "sites").folder))
    written: list[str] = []
    monkeypatch.setattr(status_view, "put", lambda _, series: written.append(series))
    status_view.publish(inventory, Look((host(),), None), 1)
    for name, file in (("monitor", "monitor.crt"), ("ca", "ca.crt")):
        (certificate,) = read_certificates(inventory.path.parent / "tls" / file)
        end = int(certificate.not_valid_after_utc.timestamp())
        line = f'sealift_fleet_certificate_expiry_timestamp_seconds{{certificate="{name}"}} {end}'
        assert line in written[0].splitlines()


def test_damaged_blobs_stay_known_until_blobs_are_hashed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    inventory = parse_inventory(Path("site.py"), [{"name": "h1", "groups": ["monitor"], "data": DATA}])
    secrets = Secrets(api_keys={"crm": ClientKeys(keys=(new_key(),))})
    monkeypatch.setattr(status_view, "open_secrets", lambda *_: secrets)
    monkeypatch.setattr(
        status_view, "put", lambda _, series, place=PUBLISHED: written.update({place: series})
    )
    look = Look((host(),), None, damaged={"h1": ("blob a", "blob b")})
    status_view.publish(inventory, look, 1)
    assert 'sealift_fleet_damaged_blobs{of="h1"} 2' in written[PUBLISHED_BLOBS].splitlines()
    kept = written[PUBLISHED_BLOBS]
    status_view.publish(inventory, replace(look, damaged=None), 2)
    assert written[PUBLISHED_BLOBS] == kept and "damaged" not in written[PUBLISHED]
    assert "sealift_fleet_checked_timestamp_seconds 2\n" in written[PUBLISHED]


def test_the_status_script_reads_figures_and_heartbeat(tmp_path: Path) -> None:
    script = resources.files("sealift.fleet").joinpath("status.sh").read_text()
    (tmp_path / "probe.prom").write_text(
        '# HELP x\nsealift_role_up{role="chat"} 1\nfigure=no\nend=\nroot:x:0\n'
    )
    (tmp_path / "heartbeat").write_text("now\n")
    paths = (str(tmp_path / name) for name in ("probe.prom", "heartbeat"))
    command = ("sh", "-c", script, "status", *[str(tmp_path)] * 2, *paths)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = parse_status("h1", said)
    assert found.figures and found.figures.roles == {"chat": RoleFigures(up=True)}
    assert "root" not in said and found.figures.age in range(60) and found.heartbeat_age in range(60)


def test_the_status_script_follows_no_link_of_a_container(tmp_path: Path) -> None:
    script = resources.files("sealift.fleet").joinpath("status.sh").read_text()
    (tmp_path / "foreign").write_text('sealift_role_up{role="foreign"} 1\n')
    for name in ("probe.prom", "heartbeat"):
        (tmp_path / name).symlink_to("foreign")
    paths = (str(tmp_path / name) for name in ("probe.prom", "heartbeat"))
    command = ("sh", "-c", script, "status", *[str(tmp_path)] * 2, *paths)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = parse_status("h1", said)
    assert (found.figures, found.heartbeat_age, "foreign" in said) == (None, None, False)


def test_status_does_without_pyinfra() -> None:
    code = "import sealift.drift.look, sealift.cli.status_view, sys; print('pyinfra' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_what_is_published_takes_the_place_of_the_older_one_in_one_step(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "metrics/fleet.prom", tmp_path / "elsewhere"
    command = ("sh", "-c", PUT, "sh", str(place), str(tmp_path))
    ran = subprocess.run(command, input=b"new\n", capture_output=True)
    assert (ran.returncode, b"metrics is missing" in ran.stderr) == (3, True)
    place.parent.mkdir()
    place.symlink_to(elsewhere)  # as a container could leave it, which writes to that folder
    subprocess.run(command, input=b"new\n", check=True)
    assert (place.read_text(), place.is_symlink(), elsewhere.exists()) == ("new\n", False, False)
    assert (f"{place.stat().st_mode:o}", list(place.parent.iterdir())) == ("100644", [place])
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]


def test_what_is_published_is_nowhere_where_a_container_could_lead_it_elsewhere(tmp_path: Path) -> None:
    victim, place, tools = tmp_path / "victim", tmp_path / "metrics/fleet.prom", tmp_path / "tools"
    victim.write_text("of root\n")
    for folder in (place.parent, tools):
        folder.mkdir()
    # A container that puts a link in the place of whatever comes into its folder.
    (tools / "mktemp").write_text(
        f'#!/bin/sh\nnew=$(/usr/bin/mktemp "$@"); echo "$new"\n'
        f'case "$new" in {place.parent}/*) ln -sfT {victim} "$new" ;; esac\n'
    )
    (tools / "mktemp").chmod(0o755)
    command = ("sh", "-c", PUT, "sh", str(place), str(tmp_path))
    path = f"{tools}:{os.environ['PATH']}"
    subprocess.run(command, input=b"new\n", check=True, env={**os.environ, "PATH": path})
    assert (victim.read_text(), place.read_text()) == ("of root\n", "new\n")


def test_systemd_takes_the_units_that_publish(tmp_path: Path) -> None:
    for kind in ("service", "timer"):
        unit = (ROOT / f"files/control/sealift-status@.{kind}").read_text()
        for name in ("sealift-status@", "sealift-status@lab"):
            (tmp_path / f"{name}.{kind}").write_text(unit.replace("/usr/local/bin/sealift", "/bin/true"))
    units = [str(tmp_path / f"sealift-status@lab.{kind}") for kind in ("service", "timer")]
    ran = subprocess.run(("systemd-analyze", "verify", "--man=no", *units), capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
