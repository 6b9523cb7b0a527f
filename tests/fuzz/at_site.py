"""What a closed site reads of what was carried to it: bundles, media, have-lists, signatures."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.bundle.export import _is_own
from sealift.bundle.have_list import HaveList, parse_have_list
from sealift.depot.importing import import_bundle
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.files import canonical_json
from sealift.install.start import Media
from sealift.media.read import read_media
from sealift.media.table import dump_table, parse_table
from sealift.oci import layout
from sealift.progress import silent
from sealift.quality.results import compared, last_of_another
from sealift.sbom.cyclonedx import make_sbom
from sealift.sbom.layers import LayerRecords
from sealift.sbom.records import Record
from sealift.sbom.summary import summarise
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import media_bundle, tiny
from tests.unit.samples import Site

_WHERE = Path("inventories/FUZZ")


@cache
def _tiny() -> Site:
    """A site with a bundle, for the life of the process."""
    folder = Path(tempfile.mkdtemp(prefix="sealift-fuzz-"))
    atexit.register(shutil.rmtree, folder)
    return tiny.site(folder)


def _bundle() -> Path:
    return _tiny().sources.parent / "bundle"


def _index(case: Case, _: Path) -> object:
    store = BlobStore(_bundle())
    found = layout.read_layout(only(case), store)
    return found.blobs(), found.tables(), layout.read_manifests(only(case))


def _import(case: Case, folder: Path) -> object:
    """A bundle whose every digest and signature is right, whatever its lock and its SBOM say."""
    shutil.copytree(_bundle(), folder / "bundle")
    store, index = BlobStore(folder / "bundle"), json.loads(layout.read_index(_bundle()))
    spoiled = dict(case)
    for entry in index["manifests"]:
        name = entry["annotations"][layout.REF_NAME]
        if name == layout.RELEASE_REF:
            manifest = json.loads(store.path(_blob(entry)).read_bytes())
            manifest["config"].update(store.put_bytes(spoiled.get("lock", b"")).model_dump())
            entry.update(store.put_bytes(json.dumps(manifest).encode()).model_dump())
        elif name in spoiled:
            entry.update(store.put_bytes(spoiled[name]).model_dump())
    (folder / "bundle" / layout.INDEX).write_bytes(canonical_json(index))
    depot = Depot(folder / "depot")
    try:
        with patch.object(signature, "verify", lambda *_: "FUZZ"):
            return import_bundle(depot, folder / "bundle", Path("FUZZ"), silent)
    except SealiftError:
        assert depot.releases() == {}
        raise


def _blob(entry: dict[str, Any]) -> Blob:
    return Blob(digest=entry["digest"], size=entry["size"])


def _import_seed() -> Case:
    store, found = (
        BlobStore(_bundle()),
        layout.read_layout(layout.read_index(_bundle()), BlobStore(_bundle())),
    )
    manifests = {e.ref: store.path(e.descriptor.blob).read_bytes() for e in found.entries}
    lock = store.path(found.entry(layout.RELEASE_REF).manifest.config.blob).read_bytes()
    return (
        ("lock", lock),
        *((ref, content) for ref, content in manifests.items() if ref != layout.RELEASE_REF),
    )


@cache
def _media() -> media_bundle.Site:
    folder = Path(tempfile.mkdtemp(prefix="sealift-fuzz-"))
    atexit.register(shutil.rmtree, folder)
    site = media_bundle.site(folder)
    site.write(folder / "media", 700)
    return site


def _media_seed() -> Case:
    folder = _media().bundle.parent / "media"
    return tuple((path.name, path.read_bytes()) for path in sorted(folder.iterdir()))


def _read_media(case: Case, folder: Path) -> object:
    """Media whose table is signed, whatever it says."""
    (folder / "FUZZ").mkdir()
    for (name, _), (_, content) in zip(_media_seed(), case, strict=False):
        (folder / "FUZZ" / name).write_bytes(content)
    with patch.object(signature, "verify", lambda *_, **__: "FUZZ"):
        return read_media([folder / "FUZZ"], folder / "FUZZ-out", Path("FUZZ"), silent)


def _table(case: Case, _: Path) -> object:
    table = parse_table(only(case), _WHERE)
    assert dump_table(table) == only(case)
    return table.slices(), table.bundle, [table.remedy(part) for part in table.parts]


def _start_table(case: Case, _: Path) -> object:
    """The same table, as a bare control node reads it."""
    return Media([], only(case)).files


def _verify(case: Case, folder: Path) -> object:
    site = _tiny()
    with patch.dict(os.environ, {"TMPDIR": str(folder)}), patch.object(tempfile, "tempdir", None):
        return signature.verify(layout.read_index(_bundle()), only(case), site.allowed, where="FUZZ")


def _sbom(case: Case, _: Path) -> object:
    """An SBOM that is made from what blobs say is one that is read."""
    lock, said = (
        _tiny().lock,
        Record.model_validate(
            {"text": only(case).decode(errors="replace"), "layer": LayerRecords(distribution="debian")}
        ),
    )
    blobs = [package.blob for package in lock.packages]
    blobs += [layer for image in lock.images.values() for layer in image.layers]
    blobs += [blob for model in lock.models.values() for blob in model.blobs]
    digests = {image.name: image.config.digest for image in lock.images.values()}
    return summarise(make_sbom(lock, {blob.digest: said for blob in blobs}, digests))


def _own_export(case: Case, folder: Path) -> object:
    (folder / "index.json").write_bytes(only(case))
    return _is_own(folder)


_HEX = "0" * 64
_HAVE = HaveList(site="here", releases={"demo:1": f"sha256:{_HEX}"}, blobs={_HEX: 7, "1" * 64: 0})


def _results(case: Case, folder: Path) -> object:
    path = folder / f"FUZZ{'a' * 60}.json"
    path.write_bytes(only(case))
    found = last_of_another(folder, "sha256:0")
    return found and compared(found.answers, found.answers)


def targets() -> tuple[Target, ...]:
    """All of them; their seeds are made when they are asked for."""
    index = layout.read_index(_bundle())
    found = layout.read_layout(index, BlobStore(_bundle()))
    sbom = BlobStore(_bundle()).path(found.entry(layout.SBOM_REF).manifest.layers[0].blob).read_bytes()
    table = alone(dict(_media_seed())["TABLE.txt"])
    return (
        Target(
            "bundle's index",
            alone(index),
            _index,
            (b"manifests", b"digest", b"annotations"),
            where="",
            cost=2,
        ),
        Target("bundle with any lock and manifests", (_import_seed(),), _import, where="", cost=20),
        Target("media table", table, _table, (b"part ", b"file ", b"rescue ")),
        Target("media table, on a bare control node", table, _start_table, (b"part ",), where="TABLE.txt"),
        Target("media", (_media_seed(),), _read_media, (b"part ", b"file ", b"rescue "), cost=20),
        Target("signature", alone((_bundle() / layout.SIGNATURE).read_bytes()), _verify, cost=60),
        Target(
            "have-list",
            alone(canonical_json(_HAVE.model_dump(mode="json"))),
            lambda c, _: parse_have_list(only(c), "FUZZ"),
        ),
        Target(
            "SBOM",
            alone(sbom),
            lambda case, _: summarise(only(case)),
            (b"components", b"licenses"),
            where="sbom",
        ),
        Target("what blobs say, in an SBOM", alone(b'{"model_type":"1B","file_type":"Q8_0"}'), _sbom, cost=3),
        Target(
            "results of golden questions",
            alone(
                b'{"inventory":"lab","release":"demo:1","bundle":"sha256:' + b"a" * 64 + b'",'
                b'"at":"2026-11-29T08:00:00Z","answers":[{"host":"h1","role":"chat","question":"How?",'
                b'"identity":"chat {}","said":"So.","problem":null}]}'
            ),
            _results,
            (b'"answers":', b'"problem":'),
        ),
        Target("folder of an exported image", alone(index), _own_export, (b"manifests", b"annotations")),
    )
