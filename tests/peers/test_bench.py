"""The benchmark at a small scale: images and models of a few MB, but Debian's packages and all its steps."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from bench import page
from bench.__main__ import main
from bench.material import LEAST
from tests.lab.commands import CHECKOUT, Commands
from tests.unit import samples


@pytest.fixture
def ingredients(tmp_path: Path) -> Path:
    """The demo's, with small images and a small Gemma in place of its own."""
    made, small = CHECKOUT / "build/ingredients", tmp_path / "ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", made)
    images = yaml.safe_load((CHECKOUT / "releases/demo.yaml").read_text())["images"].values()
    large = shutil.ignore_patterns(*(image["archive"] for image in images), "gemma3-270m.tar")
    shutil.copytree(made, small, ignore=large)
    for image in images:
        layers = [samples.layer(image["name"].encode())]
        samples.tar(small / image["archive"], samples.docker_files(layers, image["name"]))
    store = samples.ollama_files(samples.gguf(samples.GEMMA) + bytes(16 << 20))
    names = {name: name.replace(samples.MODEL.replace(":", "/"), "gemma3/270m") for name in store}
    samples.tar(small / "gemma3-270m.tar", {names[name]: content for name, content in store.items()})
    return small


@pytest.mark.exhaustive
def test_all_steps_are_measured_and_the_page_keeps_its_text(ingredients: Path, tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nbehind\n")
    options = ("--sources", ingredients, "--work", tmp_path / "work", "--page", written)
    commands = Commands(CHECKOUT / ".lab")
    commands.ok(
        "python",
        "-m",
        "bench",
        "--rounds",
        "1",
        "--busy",
        "1",
        "--size",
        str(LEAST),
        "--larger",
        str(2 * LEAST),
        *options,
    )
    text = written.read_text()
    assert text.startswith(f"before\n{page.BEGIN}\n")
    assert text.endswith(f"\n{page.END}\nbehind\n")
    assert "old" not in text
    assert len(re.findall(r"^\| .* \| 1 \| \d+\.\d\d s \| ", text, re.MULTILINE)) == 18
    assert len(re.findall(r"^\| .* \| (met|\*\*missed\*\*) \|$", text, re.MULTILINE)) == 8
    assert re.search(
        r"^\| bytes that a delta carries.* \| ≤ 1.01 \| 1(\.0\d*)? \| met \|$", text, re.MULTILINE
    )
    assert not (tmp_path / "work").exists()


def test_it_says_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--size", "1", "--work", str(tmp_path / "work")])
    assert main() == 1
    assert capsys.readouterr().err.endswith(f"--size 1: expected {LEAST} at least. Name a larger size.\n")


def test_a_target_that_was_not_reached_is_called_missed() -> None:
    assert page.Target("speed", 0.8, 0.8, "", least=True).is_met
    assert not page.Target("speed", 0.799, 0.8, "", least=True).is_met
    assert page.Target("memory", 200.0, 200, " MB", least=False).is_met
    assert not page.Target("memory", 200.1, 200, " MB", least=False).is_met
