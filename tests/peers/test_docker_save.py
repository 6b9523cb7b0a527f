"""What real Docker saves: of Debian 12's, of Debian 13's, and of that one with containerd's image store."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.release.locked import LockedImage
from sealift.release.types import Image
from sealift.release.values import SuiteName
from sealift.sources.kinds import image_source
from tests.lab.commands import CHECKOUT, Commands
from tests.peers.dockerd import Docker, running, unpack
from tests.unit import samples

OLLAMA, ENVOY = "localhost/sealift/ollama:0.11.4", "localhost/sealift/envoy:1.40.0"
ARCHIVES = {OLLAMA: "ollama-0.11.4.tar", ENVOY: "envoy-1.40.tar"}
TWICE, PACKED = "localhost/sealift/twice:1", "localhost/sealift/packed:1"
ATTESTED = "localhost/sealift/attested:1"
INDEX, MANIFEST = "vnd.oci.image.index.v1+json", "vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Kind:
    """A Docker of Debian's.

    + members: of its archives, of which other forms lack one or have one more
    """

    version: str
    suite: SuiteName
    containerd_store: bool
    members: frozenset[str]

    @property
    def name(self) -> str:
        return f"docker-{self.version}{'-containerd' if self.containerd_store else ''}"


MEMBERS = frozenset({"manifest.json", "repositories", "index.json", "oci-layout"})
KINDS = (
    Kind("20.10", "bookworm", False, MEMBERS - {"index.json", "oci-layout"}),
    Kind("26.1", "trixie", False, MEMBERS),
    Kind("26.1", "trixie", True, MEMBERS - {"repositories"}),
)


@dataclass(frozen=True)
class Engine:
    """A Docker that has the release's images."""

    docker: Docker
    kind: Kind

    def save(self, *names: str) -> Path:
        path = self.docker.socket.with_name(f"{uuid4().hex}.tar")
        self.docker("image", "save", "--output", path, *names)
        with tarfile.open(path) as archive:
            assert MEMBERS & set(archive.getnames()) == self.kind.members
        return path


@pytest.fixture(scope="module")
def ingredients() -> Path:
    """The ingredients of the demo release, made or out of the cache."""
    folder = CHECKOUT / "build/ingredients"
    Commands(CHECKOUT / ".lab").ok("python", "-m", "demo.ingredients", folder)
    return folder


@pytest.fixture(scope="module")
def expected(ingredients: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LockedImage]:
    """What the release's own archives lock to."""
    cache = tmp_path_factory.mktemp("cache")
    return {name: _locked(name, ingredients / archive, cache) for name, archive in ARCHIVES.items()}


@pytest.fixture(scope="module")
def started(
    ingredients: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Kind], Engine]]:
    """Each Docker that is asked for, from then on."""
    folder = tmp_path_factory.mktemp("docker")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        programs = functools.cache(lambda suite: unpack(folder / suite, suite))

        @functools.cache
        def start(kind: Kind) -> Engine:
            docker = stack.enter_context(
                running(programs(kind.suite), folder / kind.name, containerd_store=kind.containerd_store)
            )
            assert docker("version", "--format", "{{.Server.Version}}").startswith(kind.version)
            for archive in ARCHIVES.values():
                docker("image", "load", "--input", ingredients / archive)
            return Engine(docker, kind)

        yield start


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def engine(request: pytest.FixtureRequest, started: Callable[[Kind], Engine]) -> Engine:
    return started(request.param)


@pytest.fixture
def classic(started: Callable[[Kind], Engine]) -> Engine:
    """Docker 20.10, whose archives have a folder for each layer and no OCI layout."""
    return started(KINDS[0])


def _locked(name: str, archive: Path, cache: Path) -> LockedImage:
    machine = samples.machine(archive.parent, {"SEALIFT_CACHE": str(cache)})
    found = image_source(Image(name=name, archive=archive.name), machine).lock()
    return found.model_copy(update={"archive": None})


def _assert_is_dockers(engine: Engine, archive: Path, name: str, locked: LockedImage) -> None:
    """The layers are those that Docker itself reports, and so is the image ID."""
    said = engine.docker.inspect(name)
    image_id = said["Id"]
    if engine.kind.containerd_store:  # which calls an image by its manifest
        manifest = json.loads(_read(archive, f"blobs/sha256/{image_id.removeprefix('sha256:')}"))
        image_id = manifest["config"]["digest"]
    assert locked.config.digest == image_id
    assert [layer.digest for layer in locked.layers] == said["RootFS"]["Layers"]


def _read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as file:
        member = file.extractfile(name)
        assert member is not None
        return member.read()


def test_it_locks_to_the_image_that_docker_has(
    engine: Engine, expected: dict[str, LockedImage], tmp_path: Path
) -> None:
    """One image, one under two names, and two in one archive."""
    second = "localhost/sealift/ollama:second"
    engine.docker("image", "tag", OLLAMA, second)
    for names in ((OLLAMA,), (OLLAMA, second), (OLLAMA, ENVOY)):
        archive = engine.save(*names)
        for name in names:
            locked = _locked(name, archive, tmp_path / "cache")
            assert locked == expected[OLLAMA if name == second else name].model_copy(update={"name": name})
            _assert_is_dockers(engine, archive, name, locked)


def test_a_name_of_dockers_own_registry_is_found(engine: Engine, tmp_path: Path) -> None:
    """Docker leaves the registry out, and `library/` too."""
    for short, name in (
        ("acme/tool:1.0", "docker.io/acme/tool:1.0"),
        ("tool:1.0", "docker.io/library/tool:1.0"),
    ):
        engine.docker("image", "tag", OLLAMA, short)
        archive = engine.save(short)
        _assert_is_dockers(engine, archive, short, _locked(name, archive, tmp_path / "cache"))


def test_another_name_is_refused_with_those_it_has(engine: Engine, tmp_path: Path) -> None:
    archive = engine.save(OLLAMA, ENVOY)
    with pytest.raises(SealiftError, match=f"has {ENVOY}, {OLLAMA}, expected {TWICE} once"):
        _locked(TWICE, archive, tmp_path / "cache")


def test_an_image_with_the_same_layer_twice(engine: Engine, tmp_path: Path) -> None:
    """Docker 20.10 has a link in place of the second one."""
    one, other = samples.layer(b"one" * 1000), samples.layer(b"other" * 1000)
    samples.tar(tmp_path / "made.tar", samples.docker_files([one, other, one], TWICE))
    engine.docker("image", "load", "--input", tmp_path / "made.tar")
    archive = engine.save(TWICE)
    locked = _locked(TWICE, archive, tmp_path / "cache")
    assert locked == _locked(TWICE, tmp_path / "made.tar", tmp_path / "cache")
    _assert_is_dockers(engine, archive, TWICE, locked)
    with tarfile.open(archive) as file:
        assert any(member.issym() for member in file) is ("index.json" not in file.getnames())


def test_layers_that_containerd_keeps_compressed(engine: Engine, tmp_path: Path) -> None:
    """As it has them from a registry; Docker's own store unpacks them, and saves them plain."""
    files = samples.docker_files([samples.layer(b"one" * 1000), samples.layer(b"other" * 1000)], PACKED)
    samples.tar(tmp_path / "plain.tar", files)
    packed = {name: gzip.compress(c) if name.endswith("layer.tar") else c for name, c in files.items()}
    samples.tar(tmp_path / "packed.tar", packed)
    engine.docker("image", "load", "--input", tmp_path / "packed.tar")
    archive = engine.save(PACKED)
    locked = _locked(PACKED, archive, tmp_path / "cache")
    assert locked == _locked(PACKED, tmp_path / "plain.tar", tmp_path / "cache")
    _assert_is_dockers(engine, archive, PACKED, locked)
    first = json.loads(_read(archive, "manifest.json"))[0]["Layers"][0]
    assert _read(archive, first).startswith(b"\x1f\x8b") is engine.kind.containerd_store


def test_an_image_with_an_attestation_beside_it(started: Callable[[Kind], Engine], tmp_path: Path) -> None:
    """As BuildKit makes them: an index of the image and of what was attested."""
    engine, layer = started(KINDS[2]), samples.layer(b"one" * 1000)
    files = samples.docker_files([layer], ATTESTED)
    samples.tar(tmp_path / "plain.tar", files)
    config = next(content for name, content in files.items() if name.endswith(".json") and len(name) > 60)
    blobs: dict[str, bytes] = {}

    def put(kind: str, content: bytes, **more: object) -> dict[str, object]:
        blob = digest_of(content)
        blobs[f"blobs/sha256/{blob.hex}"] = content
        return {"mediaType": f"application/{kind}", "digest": blob.digest, "size": blob.size, **more}

    def manifest(config: bytes, layer: dict[str, object], platform: str) -> dict[str, object]:
        parts = {"config": put("vnd.oci.image.config.v1+json", config), "layers": [layer]}
        content = json.dumps({"schemaVersion": 2, "mediaType": f"application/{MANIFEST}", **parts})
        system, _, architecture = platform.partition("/")
        return put(MANIFEST, content.encode(), platform={"os": system, "architecture": architecture})

    nothing = b'{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":[]}}'
    entries = [
        manifest(config, put("vnd.oci.image.layer.v1.tar+gzip", gzip.compress(layer)), "linux/amd64"),
        manifest(nothing, put("vnd.in-toto+json", b"{}"), "unknown/unknown"),
    ]
    head = {"schemaVersion": 2, "mediaType": f"application/{INDEX}"}
    names = {"io.containerd.image.name": ATTESTED, "org.opencontainers.image.ref.name": "1"}
    index = put(INDEX, json.dumps({**head, "manifests": entries}).encode(), annotations=names)
    blobs["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    blobs["index.json"] = json.dumps({**head, "manifests": [index]}).encode()
    samples.tar(tmp_path / "made.tar", blobs)
    engine.docker("image", "load", "--input", tmp_path / "made.tar")
    archive = engine.save(ATTESTED)
    assert str(index["digest"]) in _read(archive, "index.json").decode()
    expected = _locked(ATTESTED, tmp_path / "plain.tar", tmp_path / "cache")
    for path in (archive, tmp_path / "made.tar"):
        assert _locked(ATTESTED, path, tmp_path / "cache") == expected
    assert [blob.digest for blob in expected.layers] == engine.docker.inspect(ATTESTED)["RootFS"]["Layers"]


@pytest.mark.parametrize("command", [("gzip", "-1"), ("zstd",)], ids=["gzip", "zstd"])
def test_a_compressed_archive(
    classic: Engine, expected: dict[str, LockedImage], command: tuple[str, ...], tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    with classic.save(OLLAMA).open("rb") as plain, packed.open("wb") as file:
        subprocess.run([*command, "-c"], stdin=plain, stdout=file, check=True)
    assert _locked(OLLAMA, packed, tmp_path / "cache") == expected[OLLAMA]


@pytest.mark.exhaustive
def test_a_release_of_what_docker_saved_is_locked_and_built(
    classic: Engine, expected: dict[str, LockedImage], ingredients: Path, tmp_path: Path
) -> None:
    """Both images are in one archive; the release has others too."""
    shutil.copytree(ingredients, tmp_path / "sources", copy_function=os.link)
    for archive in ARCHIVES.values():
        (tmp_path / "sources" / archive).unlink()
    saved = classic.save(OLLAMA, ENVOY)
    saved.rename(tmp_path / "sources/images.tar")
    text = (CHECKOUT / "releases/demo.yaml").read_text()
    for archive in ARCHIVES.values():
        assert archive in text
        text = text.replace(archive, "images.tar")
    (tmp_path / "demo.yaml").write_text(text)
    commands = Commands(tmp_path / "no lab")  # this needs no hosts
    sources, bundle = ("--sources", tmp_path / "sources"), tmp_path / "bundle"
    commands.ok("sealift", "lock", tmp_path / "demo.yaml", *sources)
    key = samples.signing_key(tmp_path / "key")
    commands.ok("sealift", "build", tmp_path / "demo.lock", *sources, "--out", bundle, "--key", key)
    images = json.loads((tmp_path / "demo.lock").read_text())["images"].values()
    found = {image["name"]: LockedImage.model_validate({**image, "archive": None}) for image in images}
    assert {name: found[name] for name in expected} == expected
    for blob in (blob for image in found.values() for blob in (image.config, *image.layers)):
        with (bundle / "blobs/sha256" / blob.hex).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == blob.hex
