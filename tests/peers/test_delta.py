"""An upgrade of everything at once to a site whose last delta got lost on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.content import digest_of
from sealift.depot.store import Depot
from sealift.oci.layout import SBOM_REF, read_index, read_layout
from sealift.release.locked import Lock
from sealift.release.locked_model import WEIGHTS
from sealift.release.lockfile import load_lock
from tests.lab.commands import CHECKOUT, Commands
from tests.peers.conftest import SOURCES, Demo
from tests.unit import samples

GEMMA = "gemma3:270m"
_END = bytes(1024)  # of a tar file


def _rewritten(old: Path, new: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    with tarfile.open(old) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]  # is a file
    samples.tar(new, change(files))


def _another_top_layer(note: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Of a `docker save` tarball: a file more in the uppermost layer."""

    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        manifest = json.loads(files["manifest.json"])
        (image,) = manifest
        top = image["Layers"][-1]
        config = json.loads(files.pop(image["Config"]))
        files[top] = files[top].rstrip(b"\0") + bytes(512 - len(files[top].rstrip(b"\0")) % 512)
        file = BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo("etc/note")
            info.size = len(note)
            archive.addfile(info, BytesIO(note))
        files[top] += file.getvalue()
        config["rootfs"]["diff_ids"][-1] = digest_of(files[top]).digest
        content = json.dumps(config).encode()
        image["Config"] = f"{digest_of(content).hex}.json"
        return {**files, image["Config"]: content, "manifest.json": json.dumps(manifest).encode()}

    return change


def _other_weights(note: bytes) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    """Of an Ollama store: other values at the end of its last tensor."""

    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        (name,) = (name for name in files if name.startswith("manifests/"))
        manifest = json.loads(files[name])
        (weights,) = (layer for layer in manifest["layers"] if layer["mediaType"] == WEIGHTS)
        content = files.pop("blobs/" + weights["digest"].replace(":", "-"))
        content = content[: -len(note)] + note
        weights["digest"] = digest_of(content).digest
        blob = "blobs/" + weights["digest"].replace(":", "-")
        return {**files, blob: content, name: json.dumps(manifest).encode()}

    return change


@dataclass(frozen=True)
class Next:
    """A later release: sources, code and lock of its own, with a package more."""

    folder: Path
    version: str
    package: str

    @property
    def release(self) -> Path:
        """The release file."""
        return self.folder / f"{self.version}.yaml"

    @property
    def lock(self) -> Lock:
        """The lock, read."""
        return load_lock(self.release.with_suffix(".lock"))

    @property
    def sources(self) -> Path:
        """The sources folder."""
        return self.folder / "sources"

    @property
    def project(self) -> Path:
        """The deployment code."""
        return self.folder / "project"

    def make(self, commands: Commands) -> None:
        """Change a package, an image's top layer, a model's weights and the code, and lock that."""
        note = f"of {self.version}".encode()
        shutil.copytree(SOURCES, self.sources, copy_function=lambda a, b: Path(b).hardlink_to(a))
        for name, change in (
            ("ollama-0.11.4.tar", _another_top_layer(note)),
            ("gemma3-270m.tar", _other_weights(note)),
        ):
            (self.sources / name).unlink()
            _rewritten(SOURCES / name, self.sources / name, change)
        subprocess.run(("git", "clone", "--quiet", CHECKOUT, self.project), check=True, capture_output=True)
        with (self.project / "deploy.py").open("ab") as file:
            file.write(b"# " + note + b"\n")
        text = (CHECKOUT / "releases/demo.yaml").read_text().replace("2026.11.0", self.version)
        self.release.write_text(text.replace("all: [docker.io,", f"all: [{self.package}, docker.io,"))
        lock = ("lock", self.release, "--sources", self.sources, "--project", self.project)
        commands.ok("sealift", *lock)

    def built(self, commands: Commands, demo: Demo, out: Path, *more: str | Path) -> Path:
        """Its bundle, or a delta."""
        lock = self.release.with_suffix(".lock")
        where = ("--sources", self.sources, "--project", self.project, "--out", out, "--key", demo.key)
        commands.ok("sealift", "build", lock, *where, *more)
        return out


@dataclass(frozen=True)
class Plant:
    """A closed site: its depot, and its key for have-lists."""

    folder: Path
    demo: Demo
    commands: Commands

    @property
    def depot(self) -> Path:
        """Its depot."""
        return self.folder / "depot"

    def have(self, name: str) -> tuple[str | Path, ...]:
        """A new have-list, as options of build."""
        out = self.folder / name
        key, sites = self.folder / "site_key", self.folder / "sites"
        self.commands.ok("sealift", "have", "--depot", self.depot, "--key", key, "--out", out, "--site", "p7")
        return "--for", out, "--allowed-signers", sites

    def take(self, bundle: Path) -> tuple[str | Path, ...]:
        """The command that imports a bundle."""
        return (
            *("sealift", "import", bundle, "--depot", self.depot),
            *("--allowed-signers", self.demo.allowed),
        )

    def carry(self, bundle: Path, media: Path, *more: str) -> list[str]:
        """Write media of it in parts; gives all their names."""
        size = ("--size", "100M", "--key", self.demo.key, "--json")
        written = self.commands.ok("sealift", "media", "write", bundle, media, *size, *more)
        return sorted(json.loads(written.out)["parts"])

    def read(self, out: Path, *media: Path) -> tuple[str | Path, ...]:
        """The command that puts media together."""
        return ("sealift", "media", "read", *media, "--out", out, "--allowed-signers", self.demo.allowed)


@pytest.fixture
def plant(demo: Demo, commands: Commands, tmp_path: Path) -> Plant:
    """A site with the demo release."""
    key = samples.signing_key(tmp_path / "site_key").with_suffix(".pub").read_text().split()[:2]
    (tmp_path / "sites").write_text(f'p7 namespaces="sealift-have" {" ".join(key)}\n')
    plant = Plant(tmp_path, demo, commands)
    commands.ok(*plant.take(demo.bundle))
    return plant


def _later(commands: Commands, folder: Path, version: str, package: str) -> Next:
    made = Next(folder / version, version, package)
    made.folder.mkdir()
    made.make(commands)
    return made


def _blobs(bundle: Path) -> set[str]:
    return {path.name for path in (bundle / "blobs/sha256").iterdir()}


def _named(bundle: Path) -> set[str]:
    return set(read_layout(read_index(bundle), BlobStore(bundle)).blobs())


def _must_be_carried(before: Lock, after: Lock, delta: Path) -> set[str]:
    """What changed by the locks, the manifests, the lock and the SBOM."""
    layout = read_layout(read_index(delta), BlobStore(delta))
    (sbom,) = layout.entry(SBOM_REF).manifest.layers
    changed = {blob.hex for blob in after.blobs} - {blob.hex for blob in before.blobs}
    return {*changed, *(digest.removeprefix("sha256:") for digest in layout.tables()), sbom.blob.hex}


def _assert_all_changed(before: Lock, after: Lock, package: str) -> None:
    changed = {blob.hex for blob in after.blobs} - {blob.hex for blob in before.blobs}
    (deb,) = (found for found in after.packages if found.name == package)
    image, model = after.images["ollama"], after.models[GEMMA]
    assert after.control is not None
    weights = [layer.hex for layer in model.layers if layer.media_type == WEIGHTS]
    assert changed == {
        *(deb.blob.hex, image.config.hex, image.layers[-1].hex),
        *(model.manifest.hex, *weights, after.control.code.hex),
    }


@pytest.mark.exhaustive
def test_an_upgrade_of_everything_crosses_after_the_one_before_was_lost(
    demo: Demo, commands: Commands, plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = _later(commands, tmp_path, "2026.11.1", "tree")
    _assert_all_changed(demo.lock, second.lock, "tree")
    delta = second.built(commands, demo, tmp_path / "delta", *plant.have("have.json"))
    assert _blobs(delta) == _must_be_carried(demo.lock, second.lock, delta)

    # At a site with another base it is refused, and what lacks there is named.
    other = Plant(tmp_path / "other", demo, commands)
    shutil.copytree(plant.depot, other.depot, copy_function=lambda a, b: Path(b).hardlink_to(a))
    lacking = (demo.lock.images["gateway"].layers[-1], demo.lock.packages[0].blob)
    for blob in lacking:
        Depot(other.depot).store.path(blob).unlink()
    refused = commands.refused(*other.take(delta))
    assert f"bundle: 2 of its {len(_named(delta))} blobs" in refused.said
    assert all(f"{blob.digest} ({blob.size} bytes) is missing" in refused.said for blob in lacking)
    assert "make a new one with sealift have" in refused.said
    assert Depot(other.depot).releases().keys() == {"demo:2026.11.0"}

    # A stick of its media is lost. Written again alone, it would make it whole.
    media = tmp_path / "media"
    parts = plant.carry(delta, media)
    assert len(parts) >= 3
    (media / parts[1]).unlink()
    assert "missing: 0002" in commands.refused(*plant.read(tmp_path / "half", media)).said
    assert plant.carry(delta, tmp_path / "stick", "--part", "2") == parts
    assert [path.name for path in (tmp_path / "stick").glob("*.part")] == [parts[1]]
    commands.ok(*plant.read(tmp_path / "half", media, tmp_path / "stick"))
    assert _blobs(tmp_path / "half") == _blobs(delta)
    for folder in ("delta", "media", "stick", "half"):
        shutil.rmtree(tmp_path / folder)

    # But nobody did: on a machine that knows of nothing sent, a newer one is built for what the site has now.
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache of a new machine"))
    third = _later(commands, tmp_path, "2026.11.2", "pv")
    delta = third.built(commands, demo, tmp_path / "newer", *plant.have("have now.json"))
    _assert_all_changed(demo.lock, third.lock, "pv")
    assert _blobs(delta) == _must_be_carried(demo.lock, third.lock, delta)
    assert len(plant.carry(delta, tmp_path / "media")) >= 3
    commands.ok(*plant.read(tmp_path / "read", tmp_path / "media"))
    commands.ok(*plant.take(tmp_path / "read"))
    commands.ok("sealift", "fsck", "--depot", plant.depot)
    stored = Depot(plant.depot).resolve("demo:2026.11.2")
    assert stored.lock == third.lock
    assert Depot(plant.depot).releases().keys() == {"demo:2026.11.0", "demo:2026.11.2"}
    assert all(Depot(plant.depot).store.has(blob) for blob in third.lock.blobs)
