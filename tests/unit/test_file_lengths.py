"""No Python file is longer than somebody reads at a sitting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = 300  # lines


def _python_files() -> list[Path]:
    """Those of the checkout that git tracks or would."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py")
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.exists()]  # git still lists one that was removed just now


def _too_long(paths: Iterable[Path]) -> list[str]:
    lengths = {path: len(path.read_text().splitlines()) for path in paths}
    return sorted(f"{path} has {length} lines" for path, length in lengths.items() if length > MOST)


def test_no_python_file_is_over_300_lines() -> None:
    files = _python_files()
    assert {ROOT / "deploy.py", ROOT / "sealift/install/start.py", Path(__file__)} < set(files)
    assert _too_long(files) == []


def test_a_file_that_is_too_long_is_found(tmp_path: Path) -> None:
    for name, lines in (("right.py", MOST), ("long.py", MOST + 1)):
        (tmp_path / name).write_text("pass\n" * lines)
    assert _too_long(tmp_path.iterdir()) == [f"{tmp_path / 'long.py'} has 301 lines"]
