"""A host that cannot take the release is named at preflight, and no host is changed."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.commands import CHECKOUT, Commands, Ran
from tests.lab.conftest import Site
from tests.unit import samples


@pytest.fixture
def bare(site: Site, fresh: Commands) -> Iterator[Commands]:
    """Two bare hosts and a depot with the release; whatever happens, they stay bare."""
    if not (fresh.lab / "depot").exists():
        fresh.ok(
            *("sealift", "import", site.bundle, "--depot", fresh.lab / "depot"),
            *("--allowed-signers", site.allowed_signers),
        )
    yield fresh
    for host in ("h1", "h2"):
        assert fresh.on(host, "command -v docker || ls -A /var/lib/sealift").strip() == ""


def inventory_with(folder: Path, **data: object) -> Path:
    """The lab's inventory with other settings."""
    inventory = folder / "lab.py"
    lab = CHECKOUT / "inventories/lab"
    inventory.write_text((lab / "lab.py").read_text())
    group_data = folder / "group_data"
    group_data.mkdir()
    for path in (lab / "group_data").glob("*.py"):
        (group_data / path.name).write_text(path.read_text())
    with (group_data / "all.py").open("a") as file:
        file.writelines(f"{key} = {value!r}\n" for key, value in data.items())
    return inventory


def both_ways(commands: Commands, inventory: Path | str) -> tuple[Ran, Ran]:
    """`sealift apply` and pyinfra alone must both refuse."""
    return (
        commands.refused("sealift", "apply", inventory),
        commands.refused("pyinfra", inventory, "deploy.py", "-y"),
    )


def test_a_host_that_is_too_small_is_named(bare: Commands, tmp_path: Path) -> None:
    inventory = inventory_with(tmp_path, minimum={"memory_mib": 10_000_000, "disk_free_mib": 10_000_000})
    for refused in both_ways(bare, inventory):
        for host in ("h1", "h2"):
            assert f"{host}: " in refused.said
        assert "memory" in refused.said and "disk" in refused.said


def test_a_model_that_does_not_fit_is_refused(bare: Commands, tmp_path: Path) -> None:
    inventory = inventory_with(tmp_path, ollama={"memory_limit_mib": 512, "context_length": 2048})
    for refused in both_ways(bare, inventory):
        assert "gemma3:270m" in refused.said


def test_the_fallback_of_a_role_answers_where_its_model_does_not_fit(
    site: Site, bare: Commands, tmp_path: Path
) -> None:
    """The fallback is a stand-in: it has the header of a model, and no weights."""
    sources, lock, bundle = tmp_path / "sources", tmp_path / "lock", tmp_path / "bundle"
    shutil.copytree(site.sources, sources)
    samples.tar(sources / "tiny.tar", samples.ollama_files(samples.gguf(samples.GEMMA)))
    text = (CHECKOUT / "releases/demo.yaml").read_text()
    release = tmp_path / "release.yaml"
    release.write_text(
        text.replace("version: 2026.11.0", "version: 2026.11.9")
        .replace("\nmodels:\n", f'\nmodels:\n  "{samples.MODEL}": {{archive: tiny.tar}}\n')
        .replace("    context: 2048\n", f'    fallback: ["{samples.MODEL}"]\n    context: 2048\n')
    )
    depot, trusted = ("--depot", bare.lab / "depot"), ("--allowed-signers", site.allowed_signers)
    bare.ok("sealift", "lock", release, "--sources", sources, "--out", lock)
    bare.ok("sealift", "build", lock, "--sources", sources, "--out", bundle, "--key", site.release_key)
    bare.ok("sealift", "import", bundle, *depot, *trusted)

    ollama = {"memory_limit_mib": 512, "context_length": 2048}
    inventory = inventory_with(tmp_path, release="demo:2026.11.9", ollama=ollama)
    said = bare.ok("sealift", "preflight", inventory).out
    for host in ("h1", "h2"):
        assert f"{host}: chat is answered by {samples.MODEL}, as gemma3:270m does not fit" in said
    planned = json.loads(bare.ok("sealift", "preflight", inventory, "--json").out)
    assert planned["h1"]["roles"] == {
        **dict.fromkeys(("chat", "classify"), samples.MODEL),
        "embed": "all-minilm:22m",
    }


def test_a_port_that_is_taken_is_named_with_its_owner(bare: Commands) -> None:
    bare.on("h2", "systemd-run -q --unit=squatter --socket-property=ListenStream=8443 true")
    try:
        for refused in both_ways(bare, "inventories/lab/lab.py"):
            assert "h2: " in refused.said and "8443" in refused.said
            assert "h1: port" not in refused.said
    finally:
        bare.on("h2", "systemctl stop squatter.socket")


def test_a_host_that_does_not_answer_is_named(bare: Commands) -> None:
    in_a_second = "systemd-run -q --on-active=1 --timer-property=AccuracySec=100ms"
    bare.on("h2", f"{in_a_second} systemctl stop ssh.socket ssh.service")
    commands = ("sealift", "preflight", "inventories/lab/lab.py")
    try:
        bare.run("sleep", "3")
        refused = bare.refused(*commands)
        assert "asking 2 hosts" in refused.err and "h2: " in refused.said
        assert "h2" in bare.refused("sealift", "apply", "lab").said
    finally:
        bare.ok("sealift", "lab", "down", "--keep")
        bare.ok("sealift", "lab", "up", "--hosts", "2")


def test_an_unknown_setting_of_ollama_is_refused(bare: Commands, tmp_path: Path) -> None:
    inventory = inventory_with(tmp_path, ollama={"new_engine": True})
    refused = bare.refused("sealift", "apply", inventory)
    assert "ollama.new_engine" in refused.said


def test_a_host_that_refuses_root_and_has_no_sudo_without_a_password_is_refused(bare: Commands) -> None:
    refused = bare.refused("ssh", "-F", bare.lab / "ssh_config", "-l", "root", "h2", "true")
    assert "Permission denied" in refused.said
    wanting = "/etc/sudoers.d/z-wanting"
    timer = "systemd-run -q --on-active=15 --timer-property=AccuracySec=1s"
    bare.on("h2", f"{timer} rm {wanting}; echo 'admin ALL=(ALL) PASSWD: ALL' >{wanting}")
    try:
        applied, plain = both_ways(bare, "inventories/lab/lab.py")
        assert "h2: its user may not use sudo without a password" in applied.said
        assert "h2: could not be looked at as root" in plain.said
    finally:
        bare.ok("sh", "-c", f"until ssh -F {bare.lab}/ssh_config h2 sudo -n true; do sleep 0.5; done")


def test_what_a_site_has_set_for_docker_is_not_lost(bare: Commands) -> None:
    own = '{"data-root": "/srv/docker", "dns": ["10.0.0.1"]}'
    bare.on("h1", f"mkdir -p /etc/docker; echo {shlex.quote(own)} >/etc/docker/daemon.json")
    bare.on("h1", "mkdir -p /etc/containerd; echo version = 2 >/etc/containerd/config.toml")
    try:
        for refused in both_ways(bare, "inventories/lab/lab.py"):
            assert "h1: its /etc/docker/daemon.json says data-root" in refused.said
            assert "Set docker.data_root in the inventory." in refused.said
            assert "h1: its /etc/docker/daemon.json says dns" in refused.said
            assert "h1: its /etc/containerd/config.toml is of the site's own" in refused.said
        assert "10.0.0.1" in bare.on("h1", "cat /etc/docker/daemon.json")
    finally:
        bare.on("h1", "rm -r /etc/docker /etc/containerd")
