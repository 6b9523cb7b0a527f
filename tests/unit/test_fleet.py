"""Inventory, secrets, rollout and status: what they make of what they are given."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pyrage
import pytest

from sealift.errors import SealiftError
from sealift.files import canonical_json
from sealift.fleet.status import HostStanding, Standing, bundles_in_use, parse_status
from sealift.fleet.survey import only_depot
from sealift.fleet.wave import HostResult, WaveResult, one_rollout, parse_results
from sealift.release.values import MOST_NAMED
from sealift.site.inventory import Inventory, complaint, load_inventory, parse_inventory
from sealift.site.reading import inventory_path
from sealift.site.secrets import open_secrets
from tests.unit.docker_said import container, listed
from tests.unit.fleet_site import BUNDLE, DATA, MODEL, lock

KEY = "0123456789abcdefghijklmn"


def inventory(*hosts: tuple[str, list[str], dict[str, Any]]) -> Inventory:
    raw = [{"name": name, "groups": groups, "data": {**DATA, **data}} for name, groups, data in hosts]
    return parse_inventory(Path("inventories/lab/lab.py"), raw)


TWO = inventory(("h1", ["llm", "lab"], {}), ("h2", ["llm", "gpu", "lab"], {"gpu": {"stand_in": True}}))


def test_a_real_inventory_is_read_with_the_data_of_its_groups(tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text("llm = ['h1', 'h2']\ngpu = ['h2']\n")
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data/all.py").write_text("".join(f"{k} = {v!r}\n" for k, v in DATA.items()))
    (tmp_path / "group_data/gpu.py").write_text("gpu = {'stand_in': True}\n")
    site = load_inventory(str(tmp_path / "site.py"))
    assert (site.name, site.names) == ("site", ("h1", "h2"))
    assert [host.settings.gpu.stand_in for host in site.hosts] == [False, True]
    assert {host.name: host for host in site.hosts}["h2"].groups == {"llm", "gpu", "site"}


def test_an_inventory_that_python_cannot_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # pyinfra writes its traceback into the working directory
    Path("site.py").write_text("llm = [\n")
    with pytest.raises(
        SealiftError, match=r"^site\.py: pyinfra cannot read it: SyntaxError: .* Correct it\."
    ):
        load_inventory("site.py")


def test_an_inventory_that_prints_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("site.py").write_text("print('hello')\nllm = ['h1']\n")
    with pytest.raises(SealiftError, match=r"^site\.py: what pyinfra prints of it: is not JSON"):
        load_inventory("site.py")


def test_an_unknown_inventory_is_named_with_those_that_are_there() -> None:
    with pytest.raises(
        SealiftError, match="no such inventory, expected a path or one of: lab, prod, staging"
    ):
        inventory_path("produktion")


def test_mistakes_of_all_hosts_are_listed() -> None:
    with pytest.raises(SealiftError, match=r"(?s)^h1: ollama\.new_engine: .*\nh2: gateway\.port: "):
        inventory(
            ("h1", [], {"ollama": {"new_engine": True}}),
            ("h2", [], {"gateway": {**DATA["gateway"], "port": 0}}),
        )


@pytest.mark.parametrize(
    ("limits", "names"),
    [((), ("h1", "h2")), (("gpu",), ("h2",)), (("h1",), ("h1",)), (("llm",), ("h1", "h2"))],
)
def test_a_limit_is_a_host_or_a_group(limits: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert TWO.limited(limits).names == names


def test_a_limit_that_matches_nothing_is_refused_with_what_would() -> None:
    with pytest.raises(SealiftError, match=r"no host or group h9\. Hosts: h1, h2\. Groups: gpu, lab, llm\."):
        TWO.limited(["h1", "h9"])


def test_a_host_that_is_excluded_is_left_alone() -> None:
    assert TWO.limited(None, ["h1"]).names == ("h2",)
    assert TWO.limited(["llm"], ["h2"]).names == ("h1",)
    with pytest.raises(SealiftError, match="no host or group h9"):
        TWO.limited(None, ["h9"])
    with pytest.raises(SealiftError, match="no host is left"):
        TWO.limited(["h1"], ["h1"])


def test_a_rollout_is_of_one_depot() -> None:
    assert only_depot(TWO).path == Path("/srv/depot")
    with pytest.raises(SealiftError, match="has several depots"):
        only_depot(inventory(("h1", [], {}), ("h2", [], {"depot": "/srv/other"})))


def test_the_complaint_is_the_last_line_that_is_not_progress() -> None:
    assert (
        complaint(b"--> Loading\n    site.py is no inventory\n\n--> Disconnecting\n")
        == "site.py is no inventory"
    )


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "age.key"
    path.touch(0o600)
    path.write_text(f"# created: today\n{pyrage.x25519.Identity.generate()}\n")
    return path


def sealed(identity: Path, text: str) -> Path:
    own = pyrage.x25519.Identity.from_str(identity.read_text().split()[-1])
    path = identity.parent / "secrets.age"
    path.write_bytes(pyrage.encrypt(text.encode(), [own.to_public()]))
    return path


def test_secrets_are_opened_and_do_not_show(identity: Path) -> None:
    secrets = open_secrets(sealed(identity, f"api_keys: {{demo: {KEY}}}"), identity)
    assert secrets.first_key(date(2026, 11, 29)).get_secret_value() == KEY
    assert KEY not in repr(secrets) + str(secrets)


@pytest.mark.parametrize(
    "text",
    [
        "api_keys: {demo: 0123456789shortsecret}",
        f"api_keys: {{{KEY} secret: {KEY}}}",
        f"api_keys: [{KEY}]",
        f"{KEY}: {KEY}",
        f"[{KEY}",
        f"api_keys: {{demo: '{KEY} with spaces'}}",
        f"api_keys: {{demo: '{KEY}\\nx: y'}}",
        KEY,
        "api_keys: {}",
        f"api_keys: {{one: {KEY}, two: {KEY}}}",
        f"api_keys: {{one: {KEY}, one: {KEY[::-1]}}}",
        f"api_keys: &a {{one: {KEY}, two: *a}}",
        "api_keys: {one: 2026-13-45}",
        f"api_keys: {{one: {{keys: [{KEY}, {KEY}]}}}}",
        f"api_keys: {{one: {{keys: [{KEY}, 1{KEY}, 2{KEY}]}}}}",
        "api_keys: {one: {keys: []}}",
        f"api_keys: {{one: {{keys: [{KEY}], until: 2027-01-31}}}}",
        f"api_keys: {{one: {{keys: [{KEY}], expires: soon}}}}",
        "[" * 10_000,
    ],
)
def test_bad_secrets_are_refused_without_telling_them(identity: Path, text: str) -> None:
    path = sealed(identity, text)
    with pytest.raises(SealiftError, match=f"^{path}: ") as refused:
        open_secrets(path, identity)
    assert "0123456789" not in str(refused.value)


def test_an_identity_that_others_can_read_is_refused(identity: Path) -> None:
    identity.chmod(0o640)
    with pytest.raises(SealiftError, match="has mode 0640, expected 0600"):
        open_secrets(sealed(identity, f"api_keys: {{demo: {KEY}}}"), identity)


def test_secrets_of_another_identity_are_refused(identity: Path) -> None:
    path = sealed(identity, f"api_keys: {{demo: {KEY}}}")
    identity.write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(SealiftError, match="cannot be opened with"):
        open_secrets(path, identity)


def operation(name: str, **hosts: list[str]) -> dict[str, Any]:
    return {"name": name, "success": [], "error": [], "no_change": [], **hosts}


RESULTS = {
    "operations": [
        operation("Install", success=["h1", "h2"]),
        operation("Start", success=["h1"], error=["h2"]),
        operation("Check", no_change=["h1"], error=["h2"]),
    ],
    "failed_hosts": ["h2"],
}


def test_a_wave_is_read_per_host() -> None:
    hosts = parse_results(["h1", "h2", "h3"], RESULTS)
    assert hosts["h1"] == HostResult(("Install", "Start"), (), 1, reached=True)
    assert hosts["h2"] == HostResult(("Install",), ("Start", "Check"), 0, reached=False)
    assert [host.ok for host in hosts.values()] == [True, False, False]


@pytest.mark.parametrize(
    ("hosts", "code", "ok"), [(["h1"], 0, True), (["h1"], 1, False), (["h1", "h3"], 0, False)]
)
def test_a_wave_succeeds_by_exit_code_and_by_report(hosts: list[str], code: int, ok: bool) -> None:
    assert WaveResult(parse_results(hosts, RESULTS), code, Path("log")).ok is ok


def test_one_rollout_at_a_time(tmp_path: Path) -> None:
    busy = pytest.raises(SealiftError, match=r"another rollout is running \(process [0-9]+\)")
    with one_rollout(tmp_path), busy, one_rollout(tmp_path):
        pass
    with one_rollout(tmp_path):
        pass


OLLAMA, GATEWAY = (lock().images[name].image_id for name in ("ollama", "gateway"))
CONTAINERS = listed(
    container("sealift-ollama", "running", "healthy", OLLAMA),
    container("sealift-gateway", "running", "healthy", GATEWAY),
)
STATUS = f"""\
generation=abc
release={json.dumps({"release": "demo:2026.11.0", "bundle": BUNDLE, "roles": {"chat": MODEL}})}
model=registry.ollama.ai/library/chat/latest
model=registry.ollama.ai/library/{MODEL.replace(":", "/")}
{CONTAINERS}
free=1000
end=
"""


def test_as_many_roles_as_a_release_may_have_are_read_from_a_host(tmp_path: Path) -> None:
    roles = {f"{number:063}": MODEL for number in range(MOST_NAMED)}
    release = {"release": "demo:2026.11.0", "bundle": BUNDLE, "roles": roles}
    (tmp_path / "release.json").write_bytes(canonical_json(release, indent=2))
    (tmp_path / "current").symlink_to(tmp_path)
    script = resources.files("sealift.fleet").joinpath("status.sh").read_text()
    (tmp_path / "link").symlink_to(tmp_path)
    for folder, behind in ((tmp_path, "none"), (tmp_path / "link", "none"), (tmp_path / "gone", tmp_path)):
        command = ("sh", "-c", script, "status", str(folder), str(behind), *["none"] * 2)
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert parse_status("h1", said).roles == roles


def test_a_host_whose_disk_is_away_is_not_taken_for_a_bare_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/data/sealift")
    script = resources.files("sealift.fleet").joinpath("status.sh").read_text()
    command = ("sh", "-c", script, "status", str(tmp_path / "link"), "/data/sealift", *["none"] * 4)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with pytest.raises(SealiftError, match="is a link to /data/sealift, which is not there, expected"):
        parse_status("h1", said)


def test_a_bare_host_has_nothing() -> None:
    assert parse_status("h1", "end=\n") == Standing(None, None, None, (), (), None, {})


def _status(text: str | None) -> HostStanding:
    if text is None:
        return HostStanding("h2", None, "h2: does not answer.")
    return HostStanding("h1", parse_status("h1", text), None)


def test_what_hosts_run_is_the_bundles_of_their_generations() -> None:
    assert bundles_in_use([_status(STATUS), _status("end=\n")]) == {BUNDLE}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "h2: what it runs is unknown: h2: does not answer."),
        (STATUS.replace(BUNDLE, "sha256:../.."), "h1: what it runs is unknown: .*release.json was altered"),
    ],
)
def test_a_host_of_which_it_is_unknown_what_it_runs_is_named(text: str | None, why: str) -> None:
    with pytest.raises(SealiftError, match=why):
        bundles_in_use([_status(STATUS), _status(text)])


def test_what_a_host_says_of_itself_moves_no_cursor() -> None:
    release = json.dumps({"release": "demo\x1b[2J", "bundle": BUNDLE})
    standing = parse_status("h1", f"release={release}\nmodel=registry.ollama.ai/library/a/\x1b[2J\nend=\n")
    assert (standing.release, standing.models) == ("demo?[2J", ("a:?[2J",))


@pytest.mark.parametrize(
    "text",
    [
        *("", "release={\nend=\n", "release=[1]\nend=\n", 'release={"roles": {"chat": 1}}\nend=\n'),
        *("engine=containers\tall [{}]\nend=\n", "free=\nend=\n", "free=x\nend=\n"),
        f"free={'9' * 5000}\nend=\n",
    ],
)
def test_a_status_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(SealiftError, match=r"^h1: "):
        parse_status("h1", text)
