"""Images, models and Compose projects: what facts read, and what follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from pyinfra.api import FactBase, FactProcessError

from sealift.blob import Blob
from sealift.facts.apt import InstalledPackages
from sealift.facts.compose import ComposeContainers, Container, Networks
from sealift.facts.docker import Daemon
from sealift.facts.generation import GenerationFiles
from sealift.facts.images import CONTAINERD, Images, ImageStore, familiar
from sealift.facts.models import Models, ModelStore, StoredFile
from sealift.facts.project import Project, runs
from sealift.facts.text import Links, TextFile
from sealift.host.engine import CONTAINERS, IMAGES, INFO, line, sees
from sealift.host.generation import SPEC_LABEL
from sealift.operations.images import known_layers, load_script
from sealift.operations.models import repairs
from sealift.release.locked import LockedImage
from sealift.release.ollama_manifest import manifest_path
from tests.unit.docker_said import container, image, listed, server


def blob(letter: str, size: int = 1) -> Blob:
    return Blob(digest=f"sha256:{letter * 64}", size=size)


IMAGE = LockedImage(
    name="docker.io/ollama/ollama:0.11.4",
    archive="ollama.tar",
    config=blob("c"),
    layers=(blob("1"), blob("2"), blob("3")),
)
MODEL = (blob("a", 100), blob("b", 7))
MANIFEST = b'{"schemaVersion":2}'
TAGS = ("gemma3:270m", "chat:latest")
WHOLE = ModelStore(
    blobs={"a" * 64: StoredFile(100, 1.0, 11), "b" * 64: StoredFile(7, 1.0, 12)},
    placed={f"sha256-{'a' * 64}": StoredFile(100, 1.0, 11), f"sha256-{'b' * 64}": StoredFile(7, 1.0, 12)},
    manifests={manifest_path(tag): hashlib.sha256(MANIFEST).hexdigest() for tag in TAGS},
)
GATEWAY = Project(
    name="sealift-gateway",
    file="/compose.yaml",
    spec="sha256:spec",
    images={"gateway": "sha256:image"},
    mounted={"/etc/envoy/envoy.yaml": "abc"},
)
RUNNING = Container(
    service="gateway",
    spec="sha256:spec",
    image="sha256:image",
    state="running",
    health="healthy",
    mounted={"/etc/envoy/envoy.yaml": "abc"},
)


def test_images_are_read_from_docker() -> None:
    lines = [
        server(DriverStatus=[["Backing Filesystem", "extfs"]]),
        image("sha256:i", "a:1", "a:2", layers=("sha256:x",)),
        image("sha256:j"),
    ]
    store = ImageStore("", {"a:1": "sha256:i", "a:2": "sha256:i"}, frozenset({("sha256:x",), ()}))
    assert Images().process(lines) == store


def test_containerds_image_store_is_recognised() -> None:
    assert Images().process([server(DriverStatus=[["driver-type", CONTAINERD]])]).driver == CONTAINERD


def test_names_are_shortened_as_docker_does() -> None:
    names = ("docker.io/library/debian:13", "docker.io/ollama/ollama:1", "registry.example.org/x:1")
    assert [familiar(name) for name in names] == ["debian:13", "ollama/ollama:1", "registry.example.org/x:1"]


def test_layers_count_as_known_only_upon_the_same_layers() -> None:
    one, two, three = (layer.digest for layer in IMAGE.layers)
    assert known_layers(IMAGE, frozenset()) == 0
    assert known_layers(IMAGE, frozenset({(two, three), (one, three)})) == 1
    assert known_layers(IMAGE, frozenset({(one,), (one, two, "sha256:other")})) == 2
    assert known_layers(IMAGE, frozenset({(one, two, three, "sha256:more")})) == 3


def test_known_layers_are_named_but_not_sent() -> None:
    script = load_script(IMAGE, known=2)
    manifest = json.loads(script.split("printf %s '")[1].split("'")[0])
    assert manifest[0]["Layers"] == [f"blobs/sha256/{letter * 64}" for letter in "123"]
    sent = next(line for line in script.splitlines() if "tar -cf" in line)
    assert [letter for letter in "c123" if letter * 64 in sent] == ["c", "3"]


def test_a_whole_model_needs_nothing() -> None:
    assert list(repairs(WHOLE, MODEL, MANIFEST, TAGS)) == []


def test_a_new_model_is_verified_linked_and_named_last() -> None:
    lines = list(repairs(ModelStore(), MODEL, MANIFEST, TAGS))
    assert len([line for line in lines if "sha256sum --check" in line]) == 2
    manifests = [number for number, line in enumerate(lines) if "/manifests/" in line]
    assert min(manifests) > max(number for number, line in enumerate(lines) if "/blobs/" in line)
    assert any(line.endswith("/models/manifests/registry.ollama.ai/library/chat/latest") for line in lines)


def test_a_deleted_blob_is_linked_again_and_nothing_else() -> None:
    placed = {name: file for name, file in WHOLE.placed.items() if "b" in name.removeprefix("sha256-")}
    lines = list(repairs(ModelStore(WHOLE.blobs, placed, WHOLE.manifests), MODEL, MANIFEST, TAGS))
    assert [line.split()[0] for line in lines] == ["ln", "mv", "sync"]
    assert "a" * 64 in lines[0]


def test_a_blob_that_the_host_store_got_anew_is_linked_again() -> None:
    blobs = {**WHOLE.blobs, "a" * 64: StoredFile(100, 1.0, 99)}
    lines = list(repairs(ModelStore(blobs, WHOLE.placed, WHOLE.manifests), MODEL, MANIFEST, TAGS))
    marked, *rest = lines  # what has the old blob loaded goes on with it, until models are loaded anew
    assert ".replaced" in marked
    assert [line.split()[0] for line in rest] == ["ln", "mv", "sync"]


def test_a_blob_that_was_written_to_is_verified() -> None:
    changed = StoredFile(100, 1763720000.5, 11)
    store = ModelStore(
        {**WHOLE.blobs, "a" * 64: changed}, {**WHOLE.placed, f"sha256-{'a' * 64}": changed}, WHOLE.manifests
    )
    assert "sha256sum --check" in list(repairs(store, MODEL, MANIFEST, TAGS))[1]


def test_an_edited_manifest_is_written_again_and_nothing_else() -> None:
    manifests = {**WHOLE.manifests, manifest_path("chat:latest"): "edited"}
    lines = list(repairs(ModelStore(WHOLE.blobs, WHOLE.placed, manifests), MODEL, MANIFEST, TAGS))
    assert [line.split()[0] for line in lines] == ["mkdir", "printf", "sync", "mv", "sync"]


def test_model_files_are_read_from_find_and_sha256sum() -> None:
    lines = ["store\tab\t5\t1.0000000000\t9", "placed\tsha256-ab\t5\t1.0000000000\t9", "12ef  ./r/l/m/t"]
    file = StoredFile(5, 1.0, 9)
    assert Models().process(lines) == ModelStore({"ab": file}, {"sha256-ab": file}, {"r/l/m/t": "12ef"})


def test_generation_files_are_read_from_find_and_sha256sum() -> None:
    lines = ["entry\t\t700\td", "entry\tx.crt\t644\tf", "entry\tlink\t777\tl", "12ef  ./x.crt"]
    found = {".": ("700", "d"), "x.crt": ("644", "12ef"), "link": ("777", "l")}
    assert GenerationFiles().process(lines) == found


def test_containers_are_read_with_the_files_that_they_see() -> None:
    labels = {"com.docker.compose.service": "gateway", SPEC_LABEL: "sha256:spec"}
    lines = [
        *("asked p", "hash p gateway 12ef", "asked q", "hash q gateway 34ab"),
        listed(
            container("p", "running", "healthy", "sha256:image", name="one", labels=labels),
            container("p", "exited", name="two", labels=labels),
            container("q", "exited", labels=labels),
            container("of somebody else", "running"),
            container("", "running", name="alone"),
        ),
        line(sees("p", "/etc/envoy/envoy.yaml"), "one abc"),
    ]
    found = ComposeContainers().process(lines)
    first, second = found["p"]
    assert first == replace(RUNNING, to_be="12ef")
    assert [each.to_be for each in found["q"]] == ["34ab"]
    assert found["of somebody else"] == () and "" not in found
    assert (second.state, second.mounted) == ("exited", {})


def test_a_project_runs_when_nothing_differs() -> None:
    assert runs(GATEWAY, (RUNNING,))


def test_a_project_does_not_run_when_anything_differs() -> None:
    changes: list[dict[str, Any]] = [
        {"service": "other"},
        {"spec": "sha256:old"},
        {"image": "sha256:old"},
        {"state": "exited"},
        {"health": "unhealthy"},
        {"mounted": {"/etc/envoy/envoy.yaml": "edited"}},
        {"mounted": {}},
    ]
    for change in changes:
        assert not runs(GATEWAY, (Container(**{**vars(RUNNING), **change}),)), change
    assert not runs(GATEWAY, ())
    assert not runs(GATEWAY, (RUNNING, RUNNING))


@pytest.mark.parametrize(
    ("fact", "lines"),
    [
        (Images(), [""]),
        (Images(), [server(), line(IMAGES, "[]")]),
        (Images(), [line(INFO, "[" * 100_000)]),
        (ComposeContainers(), [line(CONTAINERS, "all {")]),
        (ComposeContainers(), [line(CONTAINERS, 'all [{"x": 1}]')]),
        (Networks(), [""]),
        (GenerationFiles(), ["\\\\ab12  ./a\\nb"]),
        (Models(), ["\t"]),
        (Models(), ["store\ta\tx\t1\t1"]),
        (TextFile(), ["only one"]),
        (Links(), ["no tab"]),
        (Daemon(), ["no equals sign"]),
        (InstalledPackages(), ["no tab"]),
    ],
)
def test_an_answer_that_cannot_be_read_fails_its_host_only(fact: FactBase[Any], lines: list[str]) -> None:
    with pytest.raises(FactProcessError, match="this is no answer to it"):
        fact.process(lines)
