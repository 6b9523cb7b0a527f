"""docs/verify-by-hand.md, typed as it stands: what a reviewer sees of good and bad bundles."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.bundle.build import build
from sealift.bundle.have_list import NOTHING, HaveList
from sealift.content import digest_of
from sealift.progress import silent
from sealift.release.locked import Lock, LockedFile
from sealift.sources.control import lock_control
from tests.peers.by_hand import PAGE, typed
from tests.unit import samples, sboms
from tests.unit.samples import Site
from tests.unit.test_code import FILES, checkout
from tests.unit.wheels import pinned, pip_index, wheel

TOOL = b"a tool"
SIGNER = "release@example.org"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site with a real package, a plain file, and a distribution in its images."""
    folder = tmp_path_factory.mktemp("site")
    site = samples.site(folder, base=sboms.DISTRIBUTION)
    hello = sboms.deb(folder / "deb", "hello")
    (site.sources / "apt/hello.deb").write_bytes(hello)
    packages = (samples.package("hello", hello, version="1.0"),)
    (site.sources / "tool").write_bytes(TOOL)
    files = {"tool": {"path": "tool", "target": "/opt/tool"}}
    release = samples.release(files=files, control={})
    with pytest.MonkeyPatch.context() as patch:
        index = [wheel(folder / "index", name) for name in ("pip", "setuptools")]
        pip_index(folder / "index", patch)
        checkout(folder / "project", {**FILES, "requirements.txt": pinned(*index)})
        control = lock_control(release, folder / "project", BlobStore(folder / "cache"), silent)
    update = {
        "packages": packages,
        "release": release,
        "files": {"tool": LockedFile(blob=digest_of(TOOL))},
        "control": control,
    }
    return Site(site.lock.model_copy(update=update), site.sources, site.key, site.allowed)


@pytest.fixture
def bundle(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    pip_index(site.sources.parent / "index", monkeypatch)
    _build(site, site.lock, tmp_path / "bundle")
    return tmp_path / "bundle"


def _build(site: Site, lock: Lock, out: Path, have: HaveList = NOTHING) -> None:
    build(lock, site.sources, out, site.key, silent, have, project=site.sources.parent / "project")


def _typed(site: Site, bundle: Path, signers: Path | None = None) -> subprocess.CompletedProcess[str]:
    return typed(bundle, signers or site.allowed, SIGNER)


def test_a_good_bundle_passes_every_command(site: Site, bundle: Path) -> None:
    typed = _typed(site, bundle)
    assert (typed.returncode, typed.stderr) == (0, "")
    assert f'Good "sealift" signature for {SIGNER}' in typed.stdout
    for told in (
        f"image {samples.IMAGE}",
        "package hello 1.0",
        f"model {samples.MODEL}",
        "file tool",
        "Gemma Terms of Use",
        "releases/demo.yaml",
    ):
        assert told in typed.stdout
    assert "Upstream-Name: hello" in typed.stdout


def _blob(bundle: Path, name: str) -> Path:
    return bundle / "blobs/sha256" / name


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def _flip_weights(site: Site, bundle: Path) -> None:
    _flip(_blob(bundle, site.lock.models[samples.MODEL].layers[0].hex))


def _lose_a_layer(site: Site, bundle: Path) -> None:
    _blob(bundle, site.lock.images["ollama"].layers[1].hex).unlink()


def _add_a_blob(site: Site, bundle: Path) -> None:
    content = b"smuggled"
    _blob(bundle, digest_of(content).hex).write_bytes(content)


def _rename_a_wheel(site: Site, bundle: Path) -> None:
    """By whoever can sign."""
    index = (bundle / "index.json").read_text()
    found = re.search(r'"control"\},"digest":"sha256:([0-9a-f]{64})"', index)
    assert found is not None
    old = _blob(bundle, found.group(1))
    content = old.read_bytes().replace(b'"pip-1.0-', b'"pip-2.0-')
    old.unlink()
    new = digest_of(content)
    _blob(bundle, new.hex).write_bytes(content)
    index = index.replace(found.group(1), new.hex)
    (bundle / "index.json").write_text(index)
    (bundle / "index.json.sig").write_bytes(signature.sign(index.encode(), site.key))


def _flip_the_index(site: Site, bundle: Path) -> None:
    _flip(bundle / "index.json")


def _take_the_sbom_of_another(site: Site, bundle: Path) -> None:
    """By whoever can sign: every hash and the signature are right."""
    lock = site.lock.model_copy(update={"packages": ()})
    other = bundle.parent / "other"
    _build(site, lock, other)
    entries = {"bundle": "", "other": ""}
    for name in entries:
        index = (bundle.parent / name / "index.json").read_text()
        found = re.search(r'\{"annotations":\{"[^"]*":"sbom"\}[^}]*\}', index)
        assert found is not None
        entries[name] = found.group()
    index = (bundle / "index.json").read_text().replace(entries["bundle"], entries["other"])
    for path in list((bundle / "blobs/sha256").iterdir()):
        if path.name in entries["bundle"] or b'"bomFormat"' in path.read_bytes()[:200]:
            path.unlink()
    for path in (other / "blobs/sha256").iterdir():
        if path.name in entries["other"] or b'"bomFormat"' in path.read_bytes()[:200]:
            shutil.copy(path, bundle / "blobs/sha256")
    (bundle / "index.json").write_text(index)
    (bundle / "index.json.sig").write_bytes(signature.sign(index.encode(), site.key))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_flip_the_index, "incorrect signature"),
        (_flip_weights, "did NOT match"),
        (_lose_a_layer, "< "),
        (_add_a_blob, "> "),
        (_rename_a_wheel, "pip-2.0-py3-none-any.whl"),
        (_take_the_sbom_of_another, "true\n"),
    ],
)
def test_a_bad_bundle_does_not_pass(
    site: Site, bundle: Path, spoil: Callable[[Site, Path], None], told: str
) -> None:
    assert _typed(site, bundle).returncode == 0
    spoil(site, bundle)
    typed = _typed(site, bundle)
    assert typed.returncode != 0
    assert told in typed.stdout + typed.stderr
    assert "Gemma Terms of Use" not in typed.stdout


def test_a_stranger_s_signature_does_not_pass(site: Site, bundle: Path, tmp_path: Path) -> None:
    stranger = samples.signing_key(tmp_path / "stranger").with_suffix(".pub").read_text()
    (tmp_path / "signers").write_text(f'{SIGNER} namespaces="sealift" {stranger}')
    assert _typed(site, bundle, tmp_path / "signers").returncode != 0


@pytest.fixture
def delta(site: Site, bundle: Path, tmp_path: Path) -> Path:
    """The bundle, for a site whose depot has the model's weights already."""
    weights = site.lock.models[samples.MODEL].layers[0]
    (tmp_path / "depot/blobs/sha256").mkdir(parents=True)
    shutil.copy(_blob(bundle, weights.hex), tmp_path / "depot/blobs/sha256")
    have = HaveList(site="plant-7", releases={}, blobs={weights.hex: weights.size})
    _build(site, site.lock, tmp_path / "delta", have)
    assert not _blob(tmp_path / "delta", weights.hex).exists()
    return tmp_path / "delta"


def _complete(delta: Path) -> Path:
    """Type the commands of the section on deltas; gives the whole bundle."""
    section = PAGE.read_text().partition("\n## A delta\n")[2]
    own, *lines = re.findall(r"^    (.*)$", section, re.MULTILINE)
    assert re.fullmatch(r"export DELTA=\S+ DEPOT=\S+ BUNDLE=\S+", own)
    whole = delta.with_name("whole")
    given = {"DELTA": str(delta), "DEPOT": str(delta.with_name("depot")), "BUNDLE": str(whole)}
    subprocess.run(("sh", "-euc", "\n".join(lines)), env={"PATH": "/usr/bin:/bin", **given}, check=True)
    return whole


def test_a_delta_is_of_the_whole_bundle_s_index_and_passes_once_it_is_completed(
    site: Site, bundle: Path, delta: Path
) -> None:
    assert (delta / "index.json").read_bytes() == (bundle / "index.json").read_bytes()
    assert _typed(site, delta).returncode != 0
    typed = _typed(site, _complete(delta))
    assert (typed.returncode, typed.stderr) == (0, "")


def test_a_delta_that_a_damaged_depot_completed_does_not_pass(site: Site, delta: Path) -> None:
    _flip(next((delta.with_name("depot") / "blobs/sha256").iterdir()))
    typed = _typed(site, _complete(delta))
    assert typed.returncode != 0 and "did NOT match" in typed.stderr
