"""What differs between two locks, and how a bundle's SBOM is summed up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sealift.bundle.build import build
from sealift.cli.main import application
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.release.changes import Change, compare
from sealift.release.locked import Lock
from sealift.release.lockfile import dump_lock
from sealift.sbom.summary import summarise
from tests.unit import samples
from tests.unit.samples import Site, lock_model, package

NEW = "2026.11.1"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    return samples.site(tmp_path)


@pytest.fixture
def upgrade(site: Site) -> Lock:
    """The next release: another package, another version, another model's weights, other roles."""
    weights = samples.gguf(samples.GEMMA) + bytes(2 << 20)
    samples.tar(site.sources / "other.tar", samples.ollama_files(weights))
    models = {samples.MODEL: {"archive": "other.tar"}}
    roles = {"chat": {"model": samples.MODEL, "context": 8192}, "embed": {"model": samples.MODEL}}
    wanted = samples.release(version=NEW, models=models, roles=roles)
    return site.lock.model_copy(
        update={
            "release": wanted,
            "models": {samples.MODEL: lock_model(samples.MODEL, wanted.models[samples.MODEL], site.sources)},
            "packages": (package("hello", b"a newer package", "1:2.0-2"), package("more", b"more")),
        }
    )


def test_a_lock_does_not_differ_from_itself(site: Site) -> None:
    same = compare(site.lock, site.lock)
    assert (same.changes, same.carry, same.drop) == ((), (), ())


def test_everything_that_differs_is_told_once(site: Site, upgrade: Lock) -> None:
    old, new = site.lock.models[samples.MODEL], upgrade.models[samples.MODEL]
    sizes = [model.manifest.size + sum(blob.size for blob in model.blobs) for model in (old, new)]
    was, now = (model.manifest.hex[:12] for model in (old, new))
    assert compare(site.lock, upgrade).changes == (
        Change("release", "version", "2026.11.0", NEW),
        Change("package", "hello", "1:2.0-1", "1:2.0-2", len(b"a package"), len(b"a newer package")),
        Change("package", "more", None, "1:2.0-1", 0, 4),
        Change("model", samples.MODEL, was, now, *sizes),
        Change("role", "chat", samples.MODEL, f"{samples.MODEL} context=8192"),
        Change("role", "embed", None, samples.MODEL),
    )


def test_only_blobs_that_are_new_are_to_be_carried(site: Site, upgrade: Lock) -> None:
    changes = compare(site.lock, upgrade)
    old, new = site.lock.models[samples.MODEL], upgrade.models[samples.MODEL]
    packages = [package.blob.digest for package in upgrade.packages]
    assert {blob.digest for blob in changes.carry} == {
        *packages,
        new.manifest.digest,
        new.layers[0].digest,
    }
    assert {blob.digest for blob in changes.drop} == {
        site.lock.packages[0].blob.digest,
        old.manifest.digest,
        old.layers[0].digest,
    }
    assert changes.carry_size == sum(blob.size for blob in changes.carry)


def test_the_way_back_is_the_reverse(site: Site, upgrade: Lock) -> None:
    there, back = compare(site.lock, upgrade), compare(upgrade, site.lock)
    assert (there.carry, there.drop) == (back.drop, back.carry)
    assert [(c.kind, c.name, c.before) for c in there.changes] == [
        (c.kind, c.name, c.after) for c in back.changes
    ]
    assert [c.what for c in back.changes] == [
        "changed",
        "changed",
        "removed",
        "changed",
        "changed",
        "removed",
    ]


def test_a_package_that_is_another_under_the_same_version_is_told_apart(site: Site) -> None:
    other = package("hello", b"rebuilt", groups=("all", "gpu"))
    changed = compare(site.lock, site.lock.model_copy(update={"packages": (other,)}))
    assert changed.changes == (
        Change("package", "hello", "1:2.0-1", "1:2.0-1, other blob, groups", len(b"a package"), 7),
    )


def test_settings_of_the_release_are_compared(site: Site) -> None:
    packages = samples.release().packages.model_copy(update={"base": ("systemd",)})
    other = site.lock.model_copy(
        update={"release": samples.release().model_copy(update={"packages": packages})}
    )
    assert compare(site.lock, other).changes == (Change("release", "packages.base", "[]", '["systemd"]'),)


def _ran(*arguments: object) -> str:
    ran = CliRunner().invoke(application(), [str(argument) for argument in arguments], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_diff_compares_locks_bundles_and_releases_of_a_depot(
    site: Site, upgrade: Lock, tmp_path: Path
) -> None:
    lock, bundle, depot = tmp_path / "new.lock", tmp_path / "bundle", Depot(tmp_path / "depot")
    lock.write_bytes(dump_lock(upgrade))
    build(site.lock, site.sources, bundle, site.key, silent)
    import_bundle(depot, bundle, site.allowed, silent)
    expected = compare(site.lock, upgrade)
    for before in (bundle, "demo:2026.11.0"):
        told = json.loads(_ran("diff", before, lock, "--depot", depot.path, "--json"))
        assert [change["name"] for change in told["changes"]] == [change.name for change in expected.changes]
        assert told["carry"] == {"blobs": len(expected.carry), "bytes": expected.carry_size}
    table = _ran("diff", bundle, lock)
    assert "1:2.0-2" in table
    assert "to carry: 4 blobs" in table
    assert _ran("diff", bundle, "demo:2026.11.0", "--depot", depot.path) == "nothing differs\n"


def test_what_cannot_be_compared_is_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match=r"^demo:1: not found, expected a lock or a bundle's folder"):
        _ran("diff", "demo:1", "demo:2")
    with pytest.raises(SealiftError, match="not in the depot"):
        _ran("diff", "demo:1", "demo:2", "--depot", tmp_path)


def test_inspect_sums_up_the_sbom_and_prints_it(site: Site, tmp_path: Path) -> None:
    build(site.lock, site.sources, tmp_path / "bundle", site.key, silent)
    sbom = _ran("inspect", tmp_path / "bundle", "--sbom")
    assert json.loads(sbom)["bomFormat"] == "CycloneDX"
    told = json.loads(_ran("inspect", tmp_path / "bundle", "--json"))["sbom"]
    assert told["components"] == {"file": 7, "container": 2, "library": 1, "machine-learning-model": 1}
    assert told["licences"] == {"Gemma Terms of Use": 1}
    assert "Gemma Terms of Use 1" in _ran("inspect", tmp_path / "bundle")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"components": 1}',
        b'{"components": [{"type": 1}]}',
        b'{"components": [{"type": "file", "licenses": [{"license": "x"}]}]}',
        b'{"components": ' + b'[{"type": "file", "components": ' * 500 + b"[]" + b"}]" * 500 + b"}",
        b"[" * 100_000,
    ],
)
def test_a_foreign_sbom_is_refused_or_counted(content: bytes) -> None:
    try:
        assert sum(summarise(content).components.values()) < 10
    except SealiftError as refusal:
        assert str(refusal).startswith("sbom: is not")
