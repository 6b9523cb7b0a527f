"""What the control node starts from, by the real apt, pip and git: the project's own requirements."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.content import digest_of
from sealift.progress import silent
from sealift.release.parse import load_release
from sealift.release.types import Release
from sealift.sources.apt import lock_packages
from sealift.sources.code import pack_code
from sealift.sources.wheels import fetch_wheels, lock_wheels
from tests.unit import samples

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def demo() -> Release:
    return load_release(CHECKOUT / "releases/demo.yaml")


def test_every_requirement_has_a_wheel_for_the_suites_python(demo: Release, tmp_path: Path) -> None:
    cache = BlobStore(tmp_path / "cache")
    content = (CHECKOUT / "requirements.txt").read_bytes()
    wheels = lock_wheels(content, "requirements.txt", demo.suite, cache, silent)
    by_name = {wheel.name: wheel for wheel in wheels}
    assert {"pip", "setuptools", "pyinfra", "pydantic-core", "pysequoia"} <= by_name.keys()
    assert "colorama" not in by_name  # Windows alone needs it
    assert by_name["pydantic-core"].file.split("-")[2:4] == ["cp313", "cp313"]
    assert all(wheel.blob.hex in content.decode() for wheel in wheels)
    assert all(digest_of(cache.path(wheel.blob).read_bytes()) == wheel.blob for wheel in wheels)

    for name in ("pip", "pydantic-core"):
        cache.path(by_name[name].blob).unlink()
    fetch_wheels(wheels, demo.suite, cache, silent)
    assert all(cache.has(wheel.blob) for wheel in wheels)

    _assert_installable(by_name["pip"].file, tmp_path, {w.file: cache.path(w.blob) for w in wheels})


def _assert_installable(pip: str, folder: Path, wheels: dict[str, Path]) -> None:
    """pip out of its own wheel finds all that is required in the folder of wheels, and nothing elsewhere."""
    (folder / "wheels").mkdir()
    for name, path in wheels.items():
        (folder / "wheels" / name).hardlink_to(path)
    install = ("install", "--dry-run", "--ignore-installed", "--isolated", "--no-index", "--no-deps")
    target = ("--target", str(folder / "target"), "--only-binary", ":all:", "--python-version", "3.13")
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in range(41, 16, -1)]
    found = (
        "--find-links",
        str(folder / "wheels"),
        "--require-hashes",
        "-r",
        str(CHECKOUT / "requirements.txt"),
    )
    command = ("python3", str(folder / "wheels" / pip / "pip"), *install, *target, *platforms, *found)
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (told,) = (line for line in ran.stdout.splitlines() if line.startswith("Would install "))
    assert len(told.split()) - 2 == len(wheels)


def test_debian_has_what_the_control_node_gets(demo: Release, tmp_path: Path) -> None:
    assert demo.control is not None
    sources = {"debian": demo.packages.sources["debian"]}
    packages = demo.packages.model_copy(update={"sources": sources, "all": ("iptables",), "gpu": ()})
    found = lock_packages(demo.model_copy(update={"packages": packages}), samples.machine(tmp_path), {})
    groups = {package.name: package.groups for package in found}
    assert groups["iptables"] == ("all",)
    assert groups["openssh-client"] == ("control",)
    assert "python3" not in groups  # there already


def test_two_clones_of_the_project_give_the_same_code(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        clone = ("git", "clone", "--quiet", str(CHECKOUT), str(tmp_path / name))
        subprocess.run(clone, check=True, capture_output=True)
        digests.add(pack_code(tmp_path / name, BlobStore(tmp_path / "cache")).digest)
    (tmp_path / "two/deploy.py").write_text("another")
    digests.add(pack_code(tmp_path / "two", BlobStore(tmp_path / "cache")).digest)
    assert len(digests) == 2
