"""What the control node starts from, all the way: lock, bundle, SBOM, changes, deltas, depot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sealift.blobs import BlobStore
from sealift.bundle.have_list import HaveList
from sealift.cli.main import application
from sealift.content import digest_of
from sealift.depot.collecting import collect
from sealift.depot.fsck import fsck
from sealift.depot.have import have_list
from sealift.depot.importing import import_bundle
from sealift.depot.needed import needed_blobs
from sealift.depot.repository import packages_index
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.oci import layout
from sealift.oci.layout import CONTROL_REF, read_index, read_layout
from sealift.progress import silent
from sealift.release.changes import Change, compare
from sealift.release.locked import Lock, LockedControl
from sealift.release.lockfile import dump_lock
from sealift.sources.control import lock_control
from tests.unit import samples
from tests.unit.control_site import SSH, build_in, cache_of, control_of
from tests.unit.sboms import assert_valid, licences, sbom_of
from tests.unit.wheels import pinned, wheel


def _again(site: samples.Site, project: Path) -> samples.Site:
    """The same release, locked once more."""
    control = lock_control(site.lock.release, project, cache_of(project.parent), silent)
    lock = site.lock.model_copy(update={"control": control})
    return samples.Site(lock, site.sources, site.key, site.allowed)


def _another_pip(project: Path) -> None:
    text = (project / "requirements.txt").read_text()
    old, newer = (
        pinned(project.parent / "index/pip-1.0-py3-none-any.whl"),
        wheel(project.parent / "index", "pip", "1.1"),
    )
    (project / "requirements.txt").write_text(text.replace(old, pinned(newer)))


def test_a_bundle_has_all_of_it_by_name(site: samples.Site, project: Path, tmp_path: Path) -> None:
    build_in(site, project, tmp_path / "bundle")
    store = BlobStore(tmp_path / "bundle")
    entry = read_layout(read_index(tmp_path / "bundle"), store).entry(CONTROL_REF)
    titled = {layer.annotations[layout.TITLE]: layer for layer in entry.manifest.layers}
    assert list(titled) == [
        "code.tar",
        "requirements.txt",
        "greenlet-1.0-py3-none-any.whl",
        "pip-1.0-py3-none-any.whl",
        "setuptools-1.0-py3-none-any.whl",
    ]
    assert titled["code.tar"].media_type == "application/x-tar"
    requirements = store.path(titled["requirements.txt"].blob)
    assert requirements.read_bytes() == (project / "requirements.txt").read_bytes()
    assert all(digest_of(store.path(layer.blob).read_bytes()) == layer.blob for layer in titled.values())


def test_no_host_gets_what_the_control_node_gets(site: samples.Site, project: Path, tmp_path: Path) -> None:
    needed = set(needed_blobs(site.lock, frozenset({"gpu", "control"})))
    own = {digest_of(SSH), *(blob for _, blob in control_of(site.lock).files)}
    assert not needed & own
    assert own <= set(site.lock.blobs)
    assert b"Package: hello\n" in packages_index(site.lock)
    assert b"Package: ssh\n" not in packages_index(site.lock)


def test_a_depot_keeps_what_the_control_node_gets(site: samples.Site, project: Path, tmp_path: Path) -> None:
    build_in(site, project, tmp_path / "bundle")
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, tmp_path / "bundle", site.allowed, silent)
    own = {digest_of(SSH), *(blob for _, blob in control_of(site.lock).files)}
    assert collect(depot, 1, (), frozenset(), True, silent).blobs == ()
    assert all(depot.store.has(blob) for blob in own)
    assert {blob.hex for blob in own} <= have_list(depot, "", silent).have.blobs.keys()
    depot.store.path(control_of(site.lock).code).unlink()
    (finding,) = fsck(depot, (), silent).findings
    assert (finding.wrong, finding.owner) == ("missing", "demo:2026.11.0: control: code.tar")


@pytest.mark.parametrize("what", ["code.tar", "requirements.txt", "greenlet-1.0-py3-none-any.whl"])
def test_what_was_altered_on_the_way_is_refused(
    site: samples.Site, project: Path, tmp_path: Path, what: str
) -> None:
    build_in(site, project, tmp_path / "bundle")
    path = BlobStore(tmp_path / "bundle").path(dict(control_of(site.lock).files)[what])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(SealiftError, match=f"control: {what}: sha256:.* is damaged"):
        import_bundle(Depot(tmp_path / "depot"), tmp_path / "bundle", site.allowed, silent)


def test_a_bundle_that_names_other_files_than_its_lock_is_refused(
    site: samples.Site, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signer is trusted, but what it shows is not what a control node would get."""
    honest = control_of(site.lock).files
    renamed = property(lambda control: (("other.tar", control.code), *honest[1:]))
    with monkeypatch.context() as patch:
        patch.setattr(LockedControl, "files", renamed)
        build_in(site, project, tmp_path / "bundle")
    with pytest.raises(SealiftError, match="bundle: control has other files than its lock says"):
        import_bundle(Depot(tmp_path / "depot"), tmp_path / "bundle", site.allowed, silent)


def test_a_change_of_the_code_carries_only_that(site: samples.Site, project: Path, tmp_path: Path) -> None:
    build_in(site, project, tmp_path / "bundle")
    depot = Depot(tmp_path / "depot")
    import_bundle(depot, tmp_path / "bundle", site.allowed, silent)
    (project / "deploy.py").write_text("another")
    newer = _again(site, project)
    was, now = control_of(site.lock).code, control_of(newer.lock).code
    changes = compare(site.lock, newer.lock)
    assert changes.changes == (Change("code", "code.tar", was.hex[:12], now.hex[:12], was.size, now.size),)
    assert (changes.carry, changes.drop) == ((now,), (was,))
    build_in(newer, project, tmp_path / "delta", have_list(depot, "", silent).have)
    assert _carried(tmp_path / "delta", newer.lock) == {now}
    import_bundle(depot, tmp_path / "delta", site.allowed, silent, replace=True)
    assert depot.store.has(now)


def test_a_change_of_a_wheel_carries_only_that(site: samples.Site, project: Path, tmp_path: Path) -> None:
    build_in(site, project, tmp_path / "bundle")
    had = HaveList(releases={}, blobs={blob.hex: blob.size for blob in site.lock.blobs})
    _another_pip(project)
    newer = _again(site, project)
    changes = compare(site.lock, newer.lock)
    assert [
        (change.kind, change.name, change.after) for change in changes.changes if change.kind == "wheel"
    ] == [("wheel", "pip", "1.1")]
    assert {change.name for change in changes.changes} == {"pip", "code.tar", "requirements.txt"}
    build_in(newer, project, tmp_path / "delta", had)
    assert _carried(tmp_path / "delta", newer.lock) == set(changes.carry)


def _carried(bundle: Path, lock: Lock) -> set[Any]:
    """What of its lock a delta carries: manifests, lock and SBOM travel always."""
    return {blob for blob in lock.blobs if BlobStore(bundle).has(blob)} - {
        model.manifest for model in lock.models.values()
    }


def test_the_sbom_has_the_wheels_and_the_code(site: samples.Site, project: Path, tmp_path: Path) -> None:
    info = build_in(site, project, tmp_path / "bundle")
    sbom = sbom_of(tmp_path / "bundle")
    assert_valid(sbom)
    components = {component["name"]: component for component in json.loads(sbom)["components"]}
    control = control_of(site.lock)
    code = components["sealift"]
    assert (code["type"], code["version"], licences(code)) == ("application", "1.2", ["MIT"])
    assert code["hashes"][0]["content"] == control.code.hex
    assert code["components"][0]["hashes"][0]["content"] == control.requirements.hex
    greenlet = components["greenlet"]
    assert (greenlet["type"], greenlet["purl"]) == ("library", "pkg:pypi/greenlet@1.0")
    assert greenlet["licenses"] == [{"expression": "MIT AND PSF-2.0", "acknowledgement": "declared"}]
    assert greenlet["hashes"][0]["content"] == control.wheels[0].blob.hex
    assert {"name": "sealift:groups", "value": "control"} in components["ssh"]["properties"]
    delta = build_in(
        site,
        project,
        tmp_path / "delta",
        HaveList(releases={}, blobs={b.hex: b.size for b in site.lock.blobs}),
    )
    assert delta.digest == info.digest


def test_inspect_and_diff_show_it(site: samples.Site, project: Path, tmp_path: Path) -> None:
    build_in(site, project, tmp_path / "bundle")
    shown = CliRunner().invoke(application(), ["inspect", str(tmp_path / "bundle"), "--json"])
    told = json.loads(shown.output)
    assert told["wheels"] == {"greenlet": "1.0", "pip": "1.0", "setuptools": "1.0"}
    assert told["code"] == control_of(site.lock).code.digest
    assert "control" in told["entries"]
    without = site.lock.model_copy(update={"control": None, "release": samples.release()})
    for name, lock in (("with", site.lock), ("without", without)):
        (tmp_path / f"{name}.lock").write_bytes(dump_lock(lock))
    shown = CliRunner().invoke(
        application(), ["diff", str(tmp_path / "without.lock"), str(tmp_path / "with.lock"), "--json"]
    )
    changes = {(c["kind"], c["name"]): c["what"] for c in json.loads(shown.output)["changes"]}
    assert changes == {
        ("release", "control.base"): "added",
        ("release", "control.packages"): "added",
        ("release", "control.python"): "added",
        ("wheel", "greenlet"): "added",
        ("wheel", "pip"): "added",
        ("wheel", "setuptools"): "added",
        ("code", "code.tar"): "added",
        ("code", "requirements.txt"): "added",
    }
