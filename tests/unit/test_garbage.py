"""What a host keeps of former releases."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sealift.host.garbage import GARBAGE as SCRIPT


def _generation(root: Path, name: str, bundle: str, blobs: str | None) -> None:
    folder = root / "generations" / f".{name}.abcdef"
    folder.mkdir(parents=True)
    (root / "generations" / name).symlink_to(folder.name)
    (folder / "release.json").write_text(f'{{"bundle": "sha256:{bundle * 64}"}}')
    if blobs is not None:
        (folder / "blobs").write_text("".join(f"{blob}\n" for blob in blobs))
    (root / "repositories" / (bundle * 12)).mkdir(parents=True, exist_ok=True)


def _host(root: Path, oldest: str | None = "abc") -> Path:
    for name, bundle, blobs in (("g1", "1", oldest), ("g2", "2", "bcd"), ("g3", "3", "de")):
        _generation(root, name, bundle, blobs)
    (root / "blobs/sha256").mkdir(parents=True)
    for blob in "abcdex":
        (root / "blobs/sha256" / blob).write_text(blob)
    (root / "current").symlink_to("generations/g3")
    return root


def _garbage(root: Path) -> list[str]:
    ran = subprocess.run(
        ["sh", "-c", SCRIPT, "sealift", str(root)], capture_output=True, text=True, check=True
    )
    return [line.replace(f"{root}/", "") for line in ran.stdout.splitlines()]


def test_the_active_generation_and_the_one_before_it_stay_with_all_that_they_name(tmp_path: Path) -> None:
    (_host(tmp_path) / "previous").symlink_to("generations/g2")
    assert _garbage(tmp_path) == [
        "generation generations/g1",
        f"repository repositories/{'1' * 12}",
        "blob blobs/sha256/a",
        "blob blobs/sha256/x",
    ]


def test_without_one_before_it_the_active_generation_stays_alone(tmp_path: Path) -> None:
    found = _garbage(_host(tmp_path))
    assert [line for line in found if line.startswith("blob")] == [f"blob blobs/sha256/{x}" for x in "abcx"]


def test_everything_stays_while_a_timer_may_bring_the_host_back(tmp_path: Path) -> None:
    (_host(tmp_path) / "armed").touch()
    assert _garbage(tmp_path) == []


def test_blobs_stay_where_a_generation_does_not_name_its_own(tmp_path: Path) -> None:
    (_host(tmp_path, oldest=None) / "previous").symlink_to("generations/g1")
    assert _garbage(tmp_path) == ["generation generations/g2", f"repository repositories/{'2' * 12}"]


def test_a_host_without_an_active_generation_keeps_everything(tmp_path: Path) -> None:
    (_host(tmp_path) / "current").unlink()
    assert _garbage(tmp_path) == []
