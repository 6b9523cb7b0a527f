"""A fleet on Debian 12, whose Docker comes from a vendor's repository: Debian's own is too old for it.

The vendor's repository has the shape of Docker's. What is in it is no docker-ce, which is in no archive of
Debian's: it is Debian 13's Docker 26.1 with Compose 2, whose packages ask for no more than Debian 12 has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bare import START, in_bare_debian
from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site, lab_of
from tests.lab.test_preflight import inventory_with
from tests.peers import apt_repository as apt

pytestmark = pytest.mark.exhaustive

DOCKER = ("docker.io", "docker-cli", "docker-compose")
SOURCES = """
    docker:
      url: https://download.docker.com/linux/debian
      key: docker.asc
      suites: [bookworm]
      components: [stable]
    nvidia:
      url: https://nvidia.github.io/libnvidia-container/stable/deb/amd64
      key: nvidia.asc
      suites: ["/"]
"""


@pytest.fixture(scope="module")
def bookworm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A lab of one host, which has the stand-in for a GPU too."""
    yield from lab_of(tmp_path_factory.mktemp("bookworm") / "lab", hosts=1, suite="bookworm")


@pytest.fixture(scope="module")
def lock(bookworm: Commands, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's release for bookworm: locked, built and imported, with vendors' packages by URL."""
    work = tmp_path_factory.mktemp("release")
    shutil.copytree(sources, work / "sources", copy_function=shutil.copy)
    key = apt.new_key()
    apt.write_key(work / "sources/docker.asc", key)
    (work / "sources/nvidia-apt/key.asc").rename(work / "sources/nvidia.asc")
    (work / "www").mkdir()
    (work / "sources/nvidia-apt").rename(work / "www/nvidia")
    apt.docker_shaped(
        work / "www/docker", apt.debian_debs(work / "debs", "trixie", *DOCKER), key, suite="bookworm"
    )
    (work / "demo.yaml").write_text(_release())
    bundle = work / "bundle"
    with apt.serving(work / "www") as port, pytest.MonkeyPatch.context() as patch:
        served = f"http://127.0.0.1:{port}"
        patch.setenv("SEALIFT_MIRRORS", f"apt:docker={served}/docker apt:nvidia={served}/nvidia/")
        for step in (
            ("lock", work / "demo.yaml", "--sources", work / "sources"),
            (
                *("build", work / "demo.lock", "--sources", work / "sources"),
                *("--out", bundle, "--key", bookworm.lab / "release_key"),
            ),
        ):
            bookworm.ok("sealift", *step)
    bookworm.ok(
        *("sealift", "import", bundle, "--depot", bookworm.lab / "depot"),
        *("--allowed-signers", bookworm.lab / "allowed_signers"),
    )
    return work / "demo.lock"


def _release() -> str:
    """The demo's, for bookworm."""
    before, _, after = (CHECKOUT / "releases/demo.yaml").read_text().partition("    nvidia: {path:")
    assert "suite: trixie\n" in before
    return before.replace("suite: trixie\n", "suite: bookworm\n") + SOURCES + after.partition("\n")[2]


def test_a_release_for_trixie_is_refused_before_anything_is_changed(
    site: Site, bookworm: Commands, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    bookworm.ok("sealift", "import", site.bundle, "--depot", depot, "--allowed-signers", site.allowed_signers)
    inventory = inventory_with(tmp_path, depot=str(depot))
    for command in (("sealift", "apply", inventory), ("pyinfra", inventory, "deploy.py", "-y")):
        refused = bookworm.refused(*command)
        assert "h1: runs debian bookworm, expected debian trixie." in refused.said
    assert bookworm.on("h1", "command -v docker || ls -A /var/lib/sealift").strip() == ""


def test_bookworms_own_docker_is_refused(sources: Path, tmp_path: Path) -> None:
    text = (CHECKOUT / "releases/demo.yaml").read_text().replace("suite: trixie\n", "suite: bookworm\n")
    (tmp_path / "demo.yaml").write_text(text.replace("docker-cli, ", ""))  # Debian 12 has no such package
    said = (
        Commands(tmp_path / "no lab")
        .refused("sealift", "lock", tmp_path / "demo.yaml", "--sources", sources)
        .said
    )
    for package in ("docker-compose 1.29.2-3", "docker.io 20.10.24"):
        assert f"packages: {package}" in said
    assert not (tmp_path / "demo.lock").exists()


def test_packages_are_bookworms_and_the_vendors(lock: Path) -> None:
    content = json.loads(lock.read_text())
    found = {package["name"]: package for package in content["packages"]}
    assert {found[name]["source"] for name in DOCKER} == {"docker"}
    assert {found[name]["source"] for name in ("containerd", "runc", "iptables")} == {"debian"}
    assert "deb12" in found["runc"]["version"]
    assert found["nvidia-container-toolkit-base"]["source"] == "nvidia"
    assert sorted(content["keys"]) == ["docker", "nvidia"]
    assert "127.0.0.1" not in lock.read_text()
    wheels = [wheel["file"] for wheel in content["control"]["wheels"]]
    assert any("cp311-" in name for name in wheels)
    assert not any("cp313-" in name for name in wheels)


def test_media_make_a_control_node_by_bookworms_own_python(
    bookworm: Commands, lock: Path, tmp_path: Path
) -> None:
    """Python 3.11.2, which is older than what this is developed with."""
    media = tmp_path / "media"
    given = ("--size", "400M", "--key", bookworm.lab / "release_key")
    bookworm.ok("sealift", "media", "write", lock.with_name("bundle"), media, *given)
    script = f"python3 --version; {START}; sealift --help"
    done = in_bare_debian(bookworm, "bookworm", tmp_path, media, script)
    assert done.out.startswith("Python 3.11.2\n")
    assert "demo:2026.11.0 imported" in done.out and "ready       /usr/local/bin/sealift" in done.out
    assert "Usage: sealift" in done.said


def test_it_is_applied_verified_and_left_alone(bookworm: Commands, lock: Path, tmp_path: Path) -> None:
    bookworm.ok("sealift", "apply", "lab")
    bookworm.ok("sealift", "verify", "lab", "--out", tmp_path)
    assert "bookworm" in bookworm.on("h1", "cat /etc/os-release")
    assert "coreutils) 9.1" in bookworm.on("h1", "mv --version")
    assert bookworm.changed_operations() == {"h1": []}


def test_a_damaged_generation_is_replaced_under_running_services(bookworm: Commands, lock: Path) -> None:
    running = bookworm.on("h1", "docker ps -q --no-trunc | sort")
    for damage in ("echo '# edited' >> ollama/compose.yaml", "rm -r gateway/*", "mkdir stray"):
        bookworm.on("h1", f"cd /var/lib/sealift/current/ && {damage}")
        assert bookworm.changed_operations() == {"h1": ["Generation | Place the generation"]}, damage
    assert bookworm.on("h1", "docker ps -q --no-trunc | sort") == running
    placed = bookworm.on(
        "h1", "cd /var/lib/sealift/generations && find . -mindepth 1 -maxdepth 1 -printf '%y'"
    )
    assert sorted(placed) == ["d", "l"]
