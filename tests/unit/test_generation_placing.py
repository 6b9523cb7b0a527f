"""A generation on its way to a host: whatever step power fails in, what stands there is whole."""

from __future__ import annotations

import base64
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from sealift.facts.generation import GenerationFiles, NotKept, expected_files
from sealift.host.generation import Generation
from sealift.host.record import ETC
from sealift.host_paths import ROOT
from sealift.operations.generation import archive, keeping, placing
from tests.unit.test_generation import rendered


def test_the_archive_holds_what_is_expected_on_a_host() -> None:
    generation = rendered()
    with tarfile.open(fileobj=io.BytesIO(archive(generation))) as found:
        modes = {entry.name: f"{entry.mode:o}" for entry in found.getmembers()}
    expected = {path: mode for path, (mode, _) in expected_files(generation).items()}
    assert expected.pop(".") == "700"
    assert modes == expected


def _place(generation: Generation, folder: Path, steps: int | None = None) -> None:
    """Run the lines of the operation as a host does.

    + steps: how many of them, before the power fails
    """
    script = "\n".join(placing(generation.id, str(folder))[:steps])
    encoded = base64.encodebytes(archive(generation))
    ran = subprocess.run(["sh", "-c", script], input=encoded, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()


def _release(folder: Path) -> str | None:
    """What the current generation says, None where there is none."""
    path = folder.parent / "current" / "release.json"
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("steps", range(1, len(placing("0", "/")) + 1))
def test_power_that_fails_in_any_step_leaves_a_whole_generation(tmp_path: Path, steps: int) -> None:
    generation, folder = rendered(), tmp_path / "generations"
    whole = generation.files["release.json"].content.decode()
    (tmp_path / "current").symlink_to(f"generations/{generation.id}")

    _place(generation, folder, steps)
    assert _release(folder) in (None, whole)
    _place(generation, folder)
    assert _release(folder) == whole

    (tmp_path / "current/release.json").write_text("damaged")
    _place(generation, folder, steps)
    assert _release(folder) in ("damaged", whole)
    _place(generation, folder)
    assert _release(folder) == whole
    (placed,) = (path for path in folder.iterdir() if not path.is_symlink())
    assert [path for path in folder.iterdir() if path.is_symlink()] == [folder / generation.id]
    assert (folder / generation.id).readlink() == Path(placed.name)


def test_other_generations_stay_and_the_folder_of_an_earlier_version_becomes_a_link(tmp_path: Path) -> None:
    first, second, folder = rendered(), rendered(bundle=f"sha256:{'d' * 64}"), tmp_path / "generations"
    (folder / first.id).mkdir(parents=True)
    (folder / first.id / "release.json").write_text("damaged")
    (folder / ".new.abcdef").mkdir()
    for generation in (first, second):
        _place(generation, folder)
    for generation in (first, second):
        content = (folder / generation.id / "release.json").read_bytes()
        assert content == generation.files["release.json"].content
    assert sorted(path.name for path in folder.iterdir() if path.is_symlink()) == sorted(
        (first.id, second.id)
    )
    assert len(list(folder.iterdir())) == 4


def test_what_stands_in_etc_is_kept_beside_a_generation_and_is_no_part_of_it(tmp_path: Path) -> None:
    generation, root = rendered(), tmp_path / "sealift"
    _place(generation, root / "generations")
    (root / "current").symlink_to(f"generations/{generation.id}")
    there = {path: f"{tmp_path}/{Path(path).name}" for path in ETC}
    for path in ETC[:3]:
        Path(there[path]).write_text(path)

    def ran(script: str) -> list[str]:
        for path, here in {ROOT: str(root), **there}.items():
            script = script.replace(path, here)
        command = ["sh", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert ran(NotKept().command()) == [there[path] for path in ETC[:3]]
    ran(keeping())
    assert ran(NotKept().command()) == []
    (root / "current/record").write_text("edited")
    _place(generation, root / "generations")  # damaged, it is placed anew
    assert ran(NotKept().command()) == []
    Path(there[ETC[0]]).unlink()
    assert ran(NotKept().command()) == [there[ETC[0]]]
    ran(keeping())
    assert ran(NotKept().command()) == []
    listed = ran(GenerationFiles().command(generation=generation.id))
    assert GenerationFiles().process(listed) == expected_files(generation)
