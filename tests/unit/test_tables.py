"""What check says of tables that replace others and of names that are assigned twice."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from sealift.host import settings
from sealift.site.check import check_site
from sealift.site.init import make_site
from sealift.site.inventory import load_inventory
from tests.unit.fleet_site import DATA
from tests.unit.test_site import NOW, site


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The folder of a site that was just made."""
    return make_site(site(tmp_path), tmp_path / "sites").folder


def warnings(folder: Path) -> tuple[str, ...]:
    """What check warns of."""
    return check_site(str(folder), NOW).warnings


def _give(folder: Path, host: str, table: str) -> None:
    """Write a host's own data beside its name, first where it stands."""
    path = folder / "acme.py"
    path.write_text(path.read_text().replace(f'"{host}"', f'("{host}", {{"ollama": {table}}})', 1))


def test_a_table_that_a_host_replaces_is_told(acme: Path) -> None:
    _give(acme, "h1", '{"keep_alive": "12h"}')
    assert warnings(acme) == (
        f"{acme}/acme.py: ollama of h1 takes the place of that in all.py whole, so context_length, "
        "memory_limit_mib, num_parallel of it does not hold for this host. Repeat it here, if it should.",
    )


def test_a_host_replaces_what_its_group_says(acme: Path) -> None:
    table = {"num_parallel": 4, "context_length": 8192, "keep_alive": "1h", "memory_limit_mib": 9000}
    _give(acme, "g1", str(table))
    (warning,) = warnings(acme)
    assert "ollama of g1 takes the place of that in gpu.py whole, so flash_attention of it" in warning


def test_a_table_that_takes_another_in_leaves_nothing_out(acme: Path) -> None:
    _give(acme, "h1", '{**_common, "keep_alive": "12h"}')
    path = acme / "acme.py"
    path.write_text(path.read_text().replace("llm = [", '_common = {"memory_limit_mib": 4096}\nllm = ['))
    (acme / "group_data/gpu.py").write_text('gpu = {"stand_in": True}\ngpu = {**gpu}\n')
    assert warnings(acme) == ()


def test_a_name_that_a_file_assigns_twice_is_told(acme: Path) -> None:
    (acme / "group_data/gpu.py").write_text('gpu = {}\nverify_at_once = 1\n\ngpu = {"stand_in": True}\n')
    assert warnings(acme) == (
        f"{acme}/group_data/gpu.py: gpu is assigned in line 1, and again in line 4, which alone holds. "
        "Keep one.",
    )


def test_the_demos_site_says_what_the_labs_inventory_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_site(site(tmp_path, name="lab", monitors=("h1",)), tmp_path / "made").folder
    sites, tools = tmp_path / "sites", tmp_path / "bin"
    tools.mkdir()
    (tools / "sealift").write_text(f'#!/bin/sh\n[ "$1" != init ] || cp -r {made.parent} {sites}\n')
    (tools / "sealift").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    script = Path("demo/init.sh").read_text().replace("/srv/sealift/sites", str(sites))
    subprocess.run(["sh", "-c", script], check=True)
    assert warnings(sites / "lab") == ()
    host = load_inventory(str(sites / "lab")).hosts[0].settings
    lab: dict[str, ast.expr] = {
        node.targets[0].id: node.value
        for node in ast.parse(Path("inventories/lab/group_data/all.py").read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for table in ("ollama", "minimum", "objectives"):
        expected = {**DATA, table: ast.literal_eval(lab[table])}
        assert getattr(host, table) == getattr(settings.parse("h1", expected), table)
    assert (host.verify_at_once, host.ship_port) == (2, 4711)
    watched = host.monitoring
    assert (watched.probe_interval_s, watched.degraded_s, watched.alerts.answer_s) == (300, 30, 180)
    assert watched.key == made / "tls/monitor.key"
