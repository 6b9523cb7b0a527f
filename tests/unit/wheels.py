"""Small wheels, and a folder of them as pip's index."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from sealift.content import digest_of


def wheel(
    folder: Path, name: str, version: str = "1.0", tag: str = "py3-none-any", metadata: str = ""
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-{version}-{tag}.whl"
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}.py", f"# {path.name}\n")
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}\nAbout it.\n",
        )
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def pip_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip know this folder and nothing else."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def pinned(*paths: Path) -> str:
    """A requirements file of these wheels."""
    return "".join(
        f"{path.name.split('-')[0].replace('_', '-')}=={path.name.split('-')[1]} \\\n"
        f"    --hash=sha256:{digest_of(path.read_bytes()).hex}\n"
        for path in paths
    )
