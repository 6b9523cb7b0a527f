"""A model baked into an image answers where there is nothing but Docker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site

NAME = "localhost/sealift/ollama-gemma3:0.11.4"
CONTAINER = "exported"
QUESTION = "What is the capital of France? Answer in one sentence."


@pytest.fixture(scope="module")
def exported(site: Site, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the image, as `image`, and its archive, as `image.tar`."""
    folder = tmp_path_factory.mktemp("exported")
    ran = commands.ok(
        *("sealift", "export", "image", "demo:2026.11.0", "--depot", site.depot, "--model", "gemma3:270m"),
        *("--roles", "--name", NAME, "--out", folder / "image", "--archive", folder / "image.tar", "--json"),
    )
    (folder / "said.json").write_text(ran.out)
    print(f"export: {ran.seconds:.1f} s, {ran.peak_memory / 1e6:.0f} MB")
    assert ran.peak_memory < 200e6
    return folder


@pytest.fixture(scope="module")
def container(exported: Path, commands: Commands) -> Iterator[str]:
    """A container of the image on h1, without any network; no trace of either is left."""
    try:
        with (exported / "image.tar").open("rb") as archive:
            load = ["ssh", "-F", str(commands.lab / "ssh_config"), "h1", "docker", "load", "--quiet"]
            subprocess.run(load, stdin=archive, check=True)
        commands.on("h1", f"docker run --detach --pull never --network none --name {CONTAINER} {NAME}")
        yield CONTAINER
    finally:
        commands.on("h1", f"docker rm --force --volumes {CONTAINER}; docker image rm --force {NAME}")


def test_docker_loads_the_very_image(container: str, exported: Path, commands: Commands) -> None:
    image_id = json.loads((exported / "said.json").read_text())["image_id"]
    assert commands.on("h1", f"docker inspect --format '{{{{.Image}}}}' {container}").strip() == image_id


@pytest.mark.parametrize("model", ["gemma3:270m", "chat"])
def test_the_model_answers_by_its_name_and_its_role(container: str, commands: Commands, model: str) -> None:
    answer = commands.on("h1", f"docker exec {container} ollama run {model} '{QUESTION}'")
    print(f"{model}: {answer.strip()}")
    assert "Paris" in answer


def test_a_model_that_is_not_in_the_image_does_not_answer(container: str, commands: Commands) -> None:
    command = f"docker exec {container} ollama run gemma3:1b '{QUESTION}'"
    commands.refused("ssh", "-F", commands.lab / "ssh_config", "h1", command)


def test_an_export_that_was_killed_ends_in_the_same_bytes(
    site: Site, exported: Path, commands: Commands, tmp_path: Path
) -> None:
    command = (
        *("sealift", "export", "image", "demo:2026.11.0", "--depot", site.depot, "--model", "gemma3:270m"),
        *("--roles", "--name", NAME, "--out", tmp_path / "image", "--archive", tmp_path / "image.tar"),
    )
    killed = [commands.kill_after(seconds, *command) for seconds in (0.5, 0.8)]
    assert killed[0]  # the second may be done by then
    commands.ok(*command)
    for file in ("image/index.json", "image.tar"):
        subprocess.run(["cmp", exported / file, tmp_path / file], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "image.tar"]
