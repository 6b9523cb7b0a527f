"""A second release for lab hosts, which differs in all in which releases can differ; and what a host is."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

from tests.lab.commands import CHECKOUT, Commands
from tests.lab.conftest import Site

VERSION = "2026.11.0+newer"
NODE = "node-1.9.0.tar"
# By the demo's text: one package more, another context, one role less, another file, a tag that moved.
_CHANGES = {
    "version: 2026.11.0": f"version: {VERSION}",
    "all: [docker.io,": "all: [pv, docker.io,",
    "context: 2048\n    parallel: 1": "context: 1024\n    parallel: 1",
    "target: /usr/local/share/doc/ollama/LICENSE": "target: /opt/ollama/LICENSE",
}

# Everything of a host that a release decides, but what Docker numbers anew.
EVERYTHING = """\
dpkg-query --show
cat /var/lib/sealift/packages /var/lib/sealift/files
cd /var/lib/sealift
readlink current
find models generations/"$(basename "$(readlink current)")"/ live -type f -exec sha256sum {} + | sort -k 2
find models/blobs -type f -printf '%f %i\\n' | sort
sha256sum /etc/docker/daemon.json /etc/containerd/config.toml /etc/apt/sources.list.d/sealift.sources
find /usr/local/share/doc/ollama /opt/ollama /etc/cdi -type f -exec sha256sum {} + 2>/dev/null
docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v '<none>' | sort
docker inspect --format '{{.Name}} {{.Image}} {{.State.Status}} {{.State.Health.Status}}
    {{index .Config.Labels "io.sealift.spec"}}' $(docker ps --all --quiet) | paste -d' ' - - | sort
docker network ls --format '{{.Name}}' | sort
"""


def everything(commands: Commands, host: str) -> list[str]:
    """What a host is, line by line, asked for without any code of sealift."""
    return commands.on(host, EVERYTHING).splitlines()


def newer_site(site: Site, commands: Commands, folder: Path) -> Path:
    """The lab's inventory with the second release, which is in the depot then."""
    sources = folder / "sources"
    shutil.copytree(site.sources, sources, copy_function=lambda a, b: Path(b).hardlink_to(a))
    another_image(site.sources / NODE, sources / NODE)
    text = (CHECKOUT / "releases/demo.yaml").read_text()
    for old, new in _CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    before, _, after = text.partition("  classify:\n")
    text = before + "  embed:\n" + after.partition("  embed:\n")[2]
    (folder / "newer.yaml").write_text(text)
    lock, bundle = folder / "newer.lock", folder / "bundle"
    commands.ok("sealift", "lock", folder / "newer.yaml", "--sources", sources, "--out", lock)
    commands.ok(*("sealift", "build", lock, "--sources", sources, "--out", bundle, "--key", site.release_key))
    commands.ok(
        *("sealift", "import", bundle, "--depot", site.depot, "--allowed-signers", site.allowed_signers)
    )
    inventory = folder / "lab"
    shutil.copytree(CHECKOUT / "inventories/lab", inventory)
    settings = inventory / "group_data/all.py"
    settings.write_text(settings.read_text().replace('"demo:2026.11.0"', f'"demo:{VERSION}"'))
    return inventory / "lab.py"


def another_image(source: Path, target: Path, layer: bytes = b"") -> None:
    """The same image under the same name, with another label, so with another ID.

    + source, target: as `docker save` makes them
    + layer: that it has on top, a tar file
    """
    target.unlink(missing_ok=True)
    with tarfile.open(source) as given, tarfile.open(target, "w") as made:
        manifest = json.loads(_read(given, "manifest.json"))
        config = json.loads(_read(given, manifest[0]["Config"]))
        config.setdefault("config", {})["Labels"] = {"made": "for a second release"}
        layers = {name: _read(given, name) for name in manifest[0]["Layers"]}
        if layer:
            digest = hashlib.sha256(layer).hexdigest()
            layers[f"{digest}/layer.tar"] = layer
            manifest[0]["Layers"].append(f"{digest}/layer.tar")
            config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
            config["history"].append(config["history"][-1])
        content = json.dumps(config).encode()
        manifest[0]["Config"] = f"{hashlib.sha256(content).hexdigest()}.json"
        told = {manifest[0]["Config"]: content, "manifest.json": json.dumps(manifest).encode()}
        for name, data in {**told, **layers}.items():
            _add(made, name, data)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None
    return found.read()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
