"""Plain files of a release: what may be named, and their way from the sources to a host's list of blobs."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sealift.blobs import BlobStore
from sealift.bundle.build import build
from sealift.content import digest_of
from sealift.depot.importing import import_bundle
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.facts.files import PlainFile, Standing
from sealift.oci.layout import FILES_REF, TITLE, read_index, read_layout
from sealift.operations.files import is_ours
from sealift.progress import silent
from sealift.release.changes import Change, compare
from sealift.release.locked import LockedFile
from sealift.release.lockfile import dump_lock, load_lock, parse_lock
from sealift.release.parse import load_release
from sealift.release.types import File
from sealift.release.values import MOST_NAMED
from sealift.sbom.cyclonedx import make_sbom
from sealift.sbom.records import Record
from sealift.sources.kinds import file_source
from tests.unit import samples
from tests.unit.test_release_file import GOOD

TOOL = b"#!/bin/sh\necho hello\n"
FILES: dict[str, dict[str, Any]] = {
    "tool": {"path": "tool.sh", "target": "/usr/local/bin/tool", "mode": "0755"},
    "probe": {"path": "probe", "target": "/opt/probe/probe", "group": "gpu"},
}


def _refusal(folder: Path, files: str) -> list[str]:
    path = folder / "demo.yaml"
    path.write_text(f"{GOOD}\nfiles:\n{files}")
    with pytest.raises(SealiftError) as refused:
        load_release(path)
    return [line.removeprefix(f"{path}: ") for line in str(refused.value).splitlines()]


@pytest.mark.parametrize(
    ("file", "mistake"),
    [
        ("{path: x}", "files.x.target: is missing. Add it."),
        ("{target: /opt/x}", "files.x: needs url or path, one of them. Correct it."),
        ("{url: 'https://a/x', path: x, sha256: %s, target: /opt/x}", "files.x: needs url or path"),
        ("{url: 'https://a/x', target: /opt/x}", "files.x.sha256: is missing beside url."),
        ("{url: 'ftp://a/x', sha256: %s, target: /opt/x}", "files.x.url: is not an address such as"),
        ("{url: 'https://u:hunter2@a/x', sha256: %s, target: /opt/x}", "files.x.url: is not an address"),
        ("{path: ../x, target: /opt/x}", "files.x.path: '../x' is not a path below the sources folder"),
        (
            "{path: x, target: /etc/passwd}",
            "files.x.target: '/etc/passwd' is not a plain path below /usr/local",
        ),
        ("{path: x, target: /opt/../etc/x}", "files.x.target: '/opt/../etc/x' is not a plain path"),
        ("{path: x, target: /opt}", "files.x.target: '/opt' is not a plain path"),
        ("{path: x, target: '/opt/a b'}", "files.x.target: '/opt/a b' is not a plain path"),
        ("{path: x, target: /opt/x, mode: '4755'}", "files.x.mode: '4755' is not permissions such as '0755'"),
        ("{path: x, target: /opt/x, mode: '0666'}", "files.x.mode: '0666' is not permissions"),
        ("{path: x, target: /opt/x, mode: 0755}", "files.x.mode: is 493, expected text. Put it in quotes."),
        ("{path: x, target: /opt/x, group: control}", "files.x.group: is 'control'"),
        ("{path: x, target: /opt/x, owner: me}", "files.x.owner: is unknown."),
    ],
)
def test_what_a_file_cannot_be_is_refused(tmp_path: Path, file: str, mistake: str) -> None:
    said = _refusal(tmp_path, f"  x: {file.replace('%s', 'a' * 64)}\n")
    assert any(line.startswith(mistake) for line in said), said
    assert "hunter2" not in " ".join(said)


@pytest.mark.parametrize("other", ["/opt/x", "/opt/x/y"])
def test_two_files_do_not_stand_in_each_others_way(tmp_path: Path, other: str) -> None:
    files = f"  x: {{path: x, target: /opt/x}}\n  y: {{path: y, target: {other}}}\n"
    mistake = f"files.y.target: {other} is in the way of x, /opt/x. Name another."
    assert _refusal(tmp_path, files) == [mistake]
    (tmp_path / "demo.yaml").write_text(f"{GOOD}\nfiles:\n{files.replace(other + '}', '/opt/xy}')}")
    if other == "/opt/x/y":
        assert set(load_release(tmp_path / "demo.yaml").files) == {"x", "y"}


def test_a_file_that_is_not_what_its_sha256_says_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tool.sh").write_bytes(TOOL)
    machine = samples.machine(tmp_path)
    right = File(path="tool.sh", target="/opt/tool", sha256=digest_of(TOOL).hex)
    assert file_source("tool", right, machine).lock().blob == digest_of(TOOL)
    wrong = right.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(SealiftError, match=rf"is {digest_of(TOOL).digest}, expected sha256:0{{64}}\. Ask"):
        file_source("tool", wrong, machine).lock()


def test_a_link_out_of_the_sources_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "secret").write_bytes(TOOL)
    (tmp_path / "sources/tool.sh").symlink_to(tmp_path / "secret")
    file = File(path="tool.sh", target="/opt/tool")
    with pytest.raises(SealiftError, match=r"files\.tool: tool\.sh leads out of the sources folder"):
        file_source("tool", file, samples.machine(tmp_path / "sources")).lock()


@pytest.fixture
def site(tmp_path: Path) -> samples.Site:
    made = samples.site(tmp_path)
    (made.sources / "tool.sh").write_bytes(TOOL)
    (made.sources / "probe").write_bytes(b"probe")
    release = samples.release(files=FILES)
    machine = samples.machine(made.sources)
    files = {name: file_source(name, file, machine).lock() for name, file in release.files.items()}
    lock = made.lock.model_copy(update={"release": release, "files": files})
    return samples.Site(lock, made.sources, made.key, made.allowed)


def test_a_lock_without_files_is_as_it_was(site: samples.Site) -> None:
    parsed = json.loads(dump_lock(site.lock.model_copy(update={"release": samples.release(), "files": {}})))
    assert "files" not in parsed and "files" not in parsed["release"]
    assert parse_lock(dump_lock(site.lock), "lock") == site.lock


def test_a_lock_whose_files_are_not_its_releases_is_refused(site: samples.Site) -> None:
    less = site.lock.model_copy(update={"files": {"tool": site.lock.files["tool"]}})
    with pytest.raises(SealiftError, match="lock: files: has tool, the release probe, tool"):
        parse_lock(dump_lock(less), "lock")


def test_files_go_to_the_hosts_of_their_group(site: samples.Site) -> None:
    probe, tool = digest_of(b"probe"), digest_of(TOOL)
    assert tool in needed_blobs(site.lock, frozenset({"all"}))
    assert probe not in needed_blobs(site.lock, frozenset({"all"}))
    assert {probe, tool} <= set(needed_blobs(site.lock, frozenset({"all", "gpu"})))


@pytest.fixture
def bundle(site: samples.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    return tmp_path / "bundle"


def test_files_are_carried_and_imported(site: samples.Site, bundle: Path, tmp_path: Path) -> None:
    layout = read_layout(read_index(bundle), BlobStore(bundle))
    layers = layout.entry(FILES_REF).manifest.layers
    assert [(layer.annotations[TITLE], layer.blob) for layer in layers] == [
        ("probe", digest_of(b"probe")),
        ("tool", digest_of(TOOL)),
    ]
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, bundle, site.allowed, silent)
    assert depot.store.path(digest_of(TOOL)).read_bytes() == TOOL


def test_a_thousand_files_are_locked_built_and_imported(
    site: samples.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And roles of one model, so that a lock has every kind of object at its largest."""
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    names = [f"f{number}" for number in range(MOST_NAMED)]
    for name in names:
        (site.sources / name).write_text(name)
    files = {name: {"path": name, "target": f"/opt/f/{name}"} for name in names}
    release = samples.release(files=files, roles={name: {"model": samples.MODEL} for name in names})
    machine = samples.machine(site.sources)
    locked = {name: file_source(name, file, machine).lock() for name, file in release.files.items()}
    (tmp_path / "lock").write_bytes(
        dump_lock(site.lock.model_copy(update={"release": release, "files": locked}))
    )

    lock = load_lock(tmp_path / "lock")
    build(lock, site.sources, tmp_path / "bundle", site.key, silent)
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, tmp_path / "bundle", site.allowed, silent)

    assert depot.resolve("demo:2026.11.0").lock == lock
    assert {depot.store.path(file.blob).read_text() for file in lock.files.values()} == set(names)
    assert compare(lock, lock).changes == ()


def test_a_bundle_whose_index_shows_other_files_than_its_lock_is_refused(
    site: samples.Site, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped = {"tool": site.lock.files["probe"], "probe": site.lock.files["tool"]}
    lock = site.lock.model_copy(update={"files": swapped})
    monkeypatch.setattr("sealift.depot.importing.read_lock", lambda *_: lock)
    with pytest.raises(SealiftError, match="bundle: its files are others than its lock says"):
        import_bundle(Depot(tmp_path / "depot"), bundle, site.allowed, silent)


def test_the_sbom_names_files_with_digest_and_origin(site: samples.Site) -> None:
    address = {**FILES["tool"], "url": "https://example.org/tool", "sha256": digest_of(TOOL).hex}
    del address["path"]
    release = samples.release(files={**FILES, "tool": address})
    lock = site.lock.model_copy(update={"release": release})
    image_refs = {image.name: "sha256:" + "0" * 64 for image in lock.images.values()}
    content = make_sbom(lock, defaultdict(Record), image_refs)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    files = [part for part in json.loads(content)["components"] if part["type"] == "file"]
    assert [file["bom-ref"] for file in files] == ["file:probe", "file:tool"]
    assert "externalReferences" not in files[0]
    assert files[1]["hashes"] == [{"alg": "SHA-256", "content": digest_of(TOOL).hex}]
    assert files[1]["externalReferences"][0]["url"] == "https://example.org/tool"


def test_what_differs_in_files_is_told(site: samples.Site) -> None:
    files = {"tool": {**FILES["tool"], "mode": "0700"}}
    new = LockedFile(blob=digest_of(b"a newer tool"))
    after = site.lock.model_copy(update={"release": samples.release(files=files), "files": {"tool": new}})
    was, now = digest_of(TOOL).hex[:12], new.blob.hex[:12]
    changes = compare(site.lock, after)
    assert changes.changes == (
        Change("file", "probe", f"/opt/probe/probe 0644 gpu {digest_of(b'probe').hex[:12]}", None, 5, 0),
        Change(
            *("file", "tool", f"/usr/local/bin/tool 0755 all {was}", f"/usr/local/bin/tool 0700 all {now}"),
            *(len(TOOL), 12),
        ),
    )
    assert changes.carry == (new.blob,)


def test_a_file_on_a_host_is_read_and_a_link_is_none(tmp_path: Path) -> None:
    def standing(name: str) -> Standing | None:
        command = PlainFile().command(path=str(tmp_path / name))
        lines = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
        return PlainFile().process(lines.splitlines()) if lines else None

    (tmp_path / "a file").write_bytes(TOOL)
    (tmp_path / "a file").chmod(0o750)
    (tmp_path / "link").symlink_to("a file")
    (tmp_path / "dangling").symlink_to("nowhere")
    owner = f"{os.getuid()}:{os.getgid()}"
    assert standing("a file") == Standing("f", owner, "750", digest_of(TOOL).hex)
    assert standing("link") == Standing("l", owner, "777", "")
    assert standing("dangling") == Standing("l", owner, "777", "")
    (tmp_path / "folder").mkdir(mode=0o755)
    assert standing("folder") == Standing("d", owner, "755", "")
    assert standing("nothing") is None


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/usr/local/bin/tool", True),
        ("/opt/x", True),
        ("/opt/../etc/passwd", False),
        ("/etc/passwd", False),
        ("/opt//x", False),
        ("/opt/x y", False),
        ("/opt/", False),
        ("opt/x", False),
        ("", False),
    ],
)
def test_only_what_a_release_may_name_is_ever_removed(path: str, ours: bool) -> None:
    assert is_ours(path) is ours
