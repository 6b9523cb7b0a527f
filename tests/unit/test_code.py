"""The deployment code, by the real git."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.errors import SealiftError
from sealift.sources.code import pack_code

AS = ("-c", "user.name=A", "-c", "user.email=a@example.org")
FILES = {
    "deploy.py": "deploy",
    "pyproject.toml": '[project]\nname = "sealift"\nversion = "1.2"\nlicense = "MIT"\n',
    "tasks/ä file.py": "task",
    f"{'long/' * 60}name.txt": "deep",
    "releases/demo.yaml": "name: demo",
    "releases/demo.lock": "{}",
    "other/uv.lock": "kept: no release file stands beside it",
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *AS, *arguments], check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return checkout(tmp_path / "project")


def checkout(folder: Path, files: dict[str, str] | None = None) -> Path:
    for name, text in (files or FILES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "deploy.py").chmod(0o755)
    (folder / ".gitignore").write_text("build\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all of it")
    return folder


def _pack(project: Path) -> tuple[Blob, list[tarfile.TarInfo]]:
    cache = BlobStore(project.parent / "cache")
    blob = pack_code(project, cache)
    with tarfile.open(cache.path(blob), "r:") as archive:
        return blob, archive.getmembers()


def test_two_clones_give_the_same_tar(project: Path, tmp_path: Path) -> None:
    digests = set()
    for name, umask in (("one", 0o077), ("two", 0o002)):
        before = os.umask(umask)
        try:
            git(tmp_path, "clone", "--quiet", str(project), str(tmp_path / name))
        finally:
            os.umask(before)
        os.utime(tmp_path / name / "deploy.py", (umask, umask))
        (tmp_path / name / "untracked.txt").write_text(name)
        digests.add(_pack(tmp_path / name)[0])
    assert digests == {_pack(project)[0]}


def test_what_git_tracks_is_in_it_as_it_stands(project: Path) -> None:
    (project / "build").mkdir()
    (project / "build/thing").write_text("ignored")
    (project / "tasks/ä file.py").write_text("a change that is not committed")
    _, members = _pack(project)
    assert [member.name for member in members] == sorted(
        (*(name for name in FILES if name != "releases/demo.lock"), ".gitignore")
    )
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.isreg()) for m in members} == {
        (0, 0, "", "", 0, True)
    }
    assert {m.name for m in members if m.mode == 0o755} == {"deploy.py"}
    assert {m.mode for m in members} == {0o644, 0o755}
    task = next(m for m in members if m.name.startswith("tasks/"))
    assert task.size == len("a change that is not committed")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p / "deploy.py").write_text("other"),
        lambda p: (p / "deploy.py").chmod(0o644),
        lambda p: git(p, "mv", "other/uv.lock", "other/renamed"),
    ],
    ids=["content", "mode", "name"],
)
def test_every_change_of_the_code_shows(project: Path, change: Callable[[Path], object]) -> None:
    before, _ = _pack(project)
    change(project)
    assert _pack(project)[0] != before


def test_a_new_lock_is_no_change_of_the_code(project: Path) -> None:
    before, _ = _pack(project)
    (project / "releases/demo.lock").write_text("another")
    assert _pack(project)[0] == before


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(SealiftError, match=r"plain: git cannot list .*not a git repository.*\n.*--project"):
        _pack(tmp_path / "plain")
    with pytest.raises(SealiftError, match=r"nowhere: git cannot list"):
        _pack(tmp_path / "nowhere")


def test_another_project_is_refused(tmp_path: Path) -> None:
    other = checkout(tmp_path / "other", {"deploy.py": "x", "readme": "y"})
    with pytest.raises(
        SealiftError, match=r"other: git tracks no pyproject\.toml there, expected the project"
    ):
        _pack(other)


def test_without_git_that_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SealiftError, match="git: not found, expected it for the project's files"):
        _pack(project)


def test_what_cannot_be_carried_is_named_all_at_once(project: Path) -> None:
    (project / "out").symlink_to("/etc/hosts")
    (project / "inside").symlink_to("deploy.py")
    (project / "behind").mkdir()
    (project / "behind/file").write_text("x")
    git(project, "init", "--quiet", "sub")
    git(project / "sub", "commit", "--quiet", "--allow-empty", "-m", "x")
    git(project, "add", ".")
    (project / "behind").rename(project / "elsewhere")
    (project / "behind").symlink_to("elsewhere")
    (project / "tasks/ä file.py").unlink()
    with pytest.raises(SealiftError) as raised:
        _pack(project)
    told = [line.removeprefix(f"{project}/").partition(". ")[0] for line in str(raised.value).splitlines()]
    assert told == [
        "behind/file: is or lies behind a link, expected a file",
        "inside: is or lies behind a link, expected a file",
        "out: is or lies behind a link, expected a file",
        "sub: is no file; submodules are not carried",
        "tasks/ä file.py: git tracks it, but it is not there",
        "behind: git does not track it, so it would not be carried",
    ]


def test_the_whole_project_can_be_packed(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    blob = pack_code(root, BlobStore(tmp_path))
    with tarfile.open(BlobStore(tmp_path).path(blob), "r:") as archive:
        assert {"deploy.py", "requirements.txt", "tests/hosts/test_models.py"} <= set(archive.getnames())


@pytest.mark.parametrize(
    "name", ["tasks/foo.py", "tasks/new/templates/x.j2", "releases/site.yaml", "helper.py", "new/task.py"]
)
def test_a_file_of_the_code_that_git_does_not_track_is_refused(project: Path, name: str) -> None:
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("forgotten")
    with pytest.raises(SealiftError) as refusal:
        _pack(project)
    assert str(refusal.value) == (
        f"{project / name}: git does not track it, so it would not be carried. "
        "Add it with git add, or ignore it."
    )
    git(project, "add", name)
    assert name in [member.name for member in _pack(project)[1]]


def test_what_is_ignored_and_what_this_tool_wrote_there_is_not_refused(project: Path) -> None:
    before = _pack(project)[0]
    git(project, "rm", "--quiet", "--cached", "releases/demo.lock")
    for name in ("tasks/build/x.py", "demo.lock", "bundle/blobs/sha256/00", "have.json"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("not code")
    assert _pack(project)[0] == before


def test_many_files_that_git_does_not_track_are_ten_lines_and_a_count(project: Path) -> None:
    for number in range(13):
        (project / f"tasks/{number}.py").write_text("forgotten")
    with pytest.raises(SealiftError) as refusal:
        _pack(project)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"{project}: git does not track 3 more. Ask git status for them."
