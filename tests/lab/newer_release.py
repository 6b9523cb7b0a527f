"""Releases of the demo with its Ollama or with 0.24.0, a genuine later one: small, and quick to verify."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

import yaml

from demo import images
from demo.archive import ImageSettings, Member, write_docker_archive, write_tar
from demo.cache import make
from sealift.cache import cache_folder
from tests.lab.commands import CHECKOUT, Commands
from tests.peers import newer_ollama

OLD, NEW = images.OLLAMA_VERSION, newer_ollama.VERSION
_WATCHING = ("node", "probe", "prometheus", "alertmanager")


def sources(folder: Path, ingredients: Path) -> Path:
    """The ingredients of the demo, and an image of the newer Ollama.

    + folder: is made
    + ingredients: of the demo
    """
    shutil.copytree(ingredients, folder, copy_function=lambda a, b: Path(b).hardlink_to(Path(a).resolve()))
    base = make(images.base(), cache_folder(os.environ) / "ingredients", print) / "base.tar"
    settings = ImageSettings(
        entrypoint=("/bin/ollama",),
        command=("serve",),
        environment=("OLLAMA_HOST=0.0.0.0:11434",),
        ports=("11434/tcp",),
    )
    with tempfile.NamedTemporaryFile(dir=folder.parent) as layer:
        write_tar(Path(layer.name), (Member("usr/bin/ollama", newer_ollama.program(), 0o755),))
        name, layers = f"localhost/sealift/ollama:{NEW}", (base, Path(layer.name))
        write_docker_archive(folder / f"ollama-{NEW}.tar", name, layers, settings)
    return folder


def release(folder: Path, version: str, ollama: str, roles: Collection[str]) -> Path:
    """A release file.

    + version: of the release
    + ollama: version of Ollama
    + roles: that it has, of the demo's; without golden questions
    """
    found = yaml.safe_load((CHECKOUT / "releases/demo.yaml").read_text())
    found["version"] = version
    found["images"] = {name: image for name, image in found["images"].items() if name not in _WATCHING}
    found["images"]["ollama"] = {
        "name": f"localhost/sealift/ollama:{ollama}",
        "archive": f"ollama-{ollama}.tar",
    }
    found["roles"] = {role: found["roles"][role] for role in roles}
    for role in found["roles"].values():
        role.pop("questions", None)
        role.pop("pairs", None)
    used = {role["model"] for role in found["roles"].values()}
    found["models"] = {name: model for name, model in found["models"].items() if name in used}
    path = folder / f"{version}.yaml"
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    return path


def imported(commands: Commands, folder: Path, path: Path, of: Path) -> None:
    """Lock and build a release, and take it into the lab's depot.

    + path: its file
    + of: its sources
    """
    lab, lock, bundle = commands.lab, folder / f"{path.stem}.lock", folder / f"{path.stem}.bundle"
    commands.ok("sealift", "lock", path, "--sources", of, "--out", lock)
    build = ("--sources", of, "--out", bundle, "--key", lab / "release_key")
    commands.ok("sealift", "build", lock, *build)
    take = ("--depot", lab / "depot", "--allowed-signers", lab / "allowed_signers")
    commands.ok("sealift", "import", bundle, *take)
    shutil.rmtree(bundle)
