"""A service is one entry and one folder of templates: everything else follows from them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENTRY = 'Service(name="extra", groups=frozenset({"llm"}), ports=(Port(9200),), networks=(INNER,))'
TEMPLATE = """\
{% extends "service.yaml.j2" %}
{%- block service %}
    command: [--web.listen-address, ":9200"]
    healthcheck: {test: [CMD, "true"], interval: 30s}
{%- endblock %}
"""
# What the parts of the tool make of it, in a process of its own that imports the changed copy.
ASK = """
import json, sys
from datetime import UTC, datetime
from sealift.depot.needed import needed_blobs
from sealift.evidence.expectations import expect
from sealift.depot.repository import SignedRepository
from sealift.drift.asking import differences, script
from sealift.drift.checks import checks
from sealift.host.preflight import check
from sealift.host.probe import Listener, parse_probe
from pydantic import SecretStr
from dataclasses import replace
from tests.unit import fleet_site, probed, samples

document = samples.release().model_dump()
images = {**document["images"], "extra": {"name": "localhost/extra:1", "archive": "extra.tar"}}
lock = fleet_site.lock(samples.release(images=images))
image = fleet_site.image(12, fleet_site.blob(99, 5)).model_copy(update={"name": "localhost/extra:1"})
lock = lock.model_copy(update={"images": {**lock.images, "extra": image}})
wanted = fleet_site.wanted("llm", of=lock)
elsewhere = fleet_site.wanted(of=lock)
facts = replace(probed.HOST, listeners=(Listener(9200, "other"),))
problems = check("h1", facts, wanted.settings, lock, wanted.groups, None, 0, probed.NOW)
repository = SignedRepository(b"", b"", b"")
expected = expect(wanted, address="10.0.0.1", api_key=SecretStr("k" * 24), acceptance_key=None)
json.dump({
    "services": [service.name for service in wanted.services],
    "elsewhere": [service.name for service in elsewhere.services],
    "compose": wanted.generation.files["extra/compose.yaml"].content.decode(),
    "problems": [str(problem) for problem in problems],
    "differs": [line for line in differences(checks(wanted, repository), "") if "service extra" in line],
    "ports": expected.services["extra"].ports,
    "shipped": [blob.digest for blob in needed_blobs(lock, wanted.groups)],
    "shipped elsewhere": [blob.digest for blob in needed_blobs(lock, elsewhere.groups)],
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with one service more: one line of Python, one folder of templates."""
    folder = tmp_path_factory.mktemp("project")
    for part in ("sealift", "templates", "files", "tests/unit", "tests/__init__.py"):
        source = ROOT / part
        if source.is_dir():
            copytree(source, folder / part, ignore=ignore_patterns("__pycache__"))
        else:
            (folder / part).write_bytes(source.read_bytes())
    services = folder / "sealift/services.py"
    changed = services.read_text().replace(
        "SERVICES = (OLLAMA, GATEWAY", f"SERVICES = (OLLAMA, GATEWAY, {ENTRY}"
    )
    assert changed.count(ENTRY) == 1
    services.write_text(changed)
    (folder / "templates/extra").mkdir()
    (folder / "templates/extra/compose.yaml.j2").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def said(copy: Path) -> dict[str, object]:
    """What the changed project makes of it."""
    ran = subprocess.run(
        [sys.executable, "-c", ASK], cwd=copy, env={"PYTHONPATH": str(copy)}, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_it_runs_on_hosts_of_its_groups(said: dict[str, object]) -> None:
    assert said["services"] == ["ollama", "gateway", "extra", "budgets"]
    assert said["elsewhere"] == ["ollama", "gateway", "budgets"]


def test_its_container_is_as_confined_as_the_others(said: dict[str, object]) -> None:
    container = yaml.safe_load(str(said["compose"]))["services"]["extra"]
    assert container["cap_drop"] == ["ALL"] and container["read_only"] is True
    assert container["image"] == "localhost/extra:1"
    assert container["ports"] == ["0.0.0.0:9200:9200"]


def test_its_port_is_watched_by_preflight_and_by_acceptance(said: dict[str, object]) -> None:
    assert said["problems"] == ["h1: port 9200 is taken by other, expected a free port for extra. Stop that."]
    assert said["ports"] == [9200]


def test_status_misses_it(said: dict[str, object]) -> None:
    assert isinstance(said["differs"], list) and "service extra missing" in said["differs"]


def test_its_image_is_shipped_to_those_hosts_alone(said: dict[str, object]) -> None:
    layer = f"sha256:{99:064x}"
    assert isinstance(said["shipped"], list) and layer in said["shipped"]
    assert isinstance(said["shipped elsewhere"], list) and layer not in said["shipped elsewhere"]


def test_services_are_named_where_they_are_defined_and_nowhere_else() -> None:
    named = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "sealift").rglob("*.py")
        if re.search(r'(?<!job=)"(ollama|gateway|budgets)"', path.read_text())  # but for Prometheus' labels
    }
    assert named == {"sealift/services.py"}
