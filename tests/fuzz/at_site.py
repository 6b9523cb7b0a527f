"""What a closed site reads: bundles, media, have-lists, signatures, and what hosts and their tools answer."""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import requests
from pyinfra.api import FactBase, FactProcessError

import sealift.facts
from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle import signature
from sealift.bundle.export import _is_own
from sealift.bundle.have_list import HaveList, parse_have_list
from sealift.depot.importing import import_bundle
from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot
from sealift.drift.push import parse_generations
from sealift.errors import SealiftError
from sealift.evidence import junit, page
from sealift.files import canonical_json, parse_json
from sealift.fleet.ask import _parse
from sealift.fleet.status import parse_status
from sealift.host.preflight import check
from sealift.host.probe import parse_probe
from sealift.host_paths import CURRENT
from sealift.install.start import Media
from sealift.media.read import read_media
from sealift.media.table import dump_table, parse_table
from sealift.oci import layout
from sealift.progress import silent
from sealift.sbom.cyclonedx import make_sbom
from sealift.sbom.layers import LayerRecords
from sealift.sbom.records import Record
from sealift.sbom.summary import summarise
from sealift.ship.plan import parse_listing, plan
from sealift.site.inventory import complaint, parse_inventory
from sealift.ssh import Ssh
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import fleet_site, media_bundle, test_evidence, tiny
from tests.unit.samples import Site
from tests.unit.test_ask import GOOD as ANSWER
from tests.unit.test_fleet import STATUS
from tests.unit.test_preflight import GOOD

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
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


def _complaint(case: Case, _: Path) -> object:
    return Ssh("FUZZ", _WHERE).failure(1, only(case))


def _listing(case: Case, _: Path) -> object:
    have = parse_listing("FUZZ", _lines(case))
    return plan(needed_blobs(fleet_site.lock(), frozenset()), have)


def _probe(case: Case, _: Path) -> object:
    facts = parse_probe("FUZZ", "\n".join(_lines(case)))
    problems = check("FUZZ", facts, fleet_site.site_settings(), fleet_site.lock(), frozenset(), None, 0, _NOW)
    return [str(problem) for problem in problems]


def _status(case: Case, _: Path) -> object:
    return parse_status("FUZZ", "\n".join(_lines(case)))


def _generations(case: Case, _: Path) -> object:
    return parse_generations("FUZZ", "\n".join(_lines(case)))


def _inventory(case: Case, _: Path) -> object:
    return parse_inventory(_WHERE, parse_json(only(case), str(_WHERE)))


def _junit(case: Case, _: Path) -> object:
    evidence = test_evidence._evidence(*junit.parse(only(case), "FUZZ"))
    return junit.render(evidence), page.render(evidence), canonical_json(evidence.model_dump(mode="json"))


def _answer(case: Case, _: Path) -> object:
    answer = requests.Response()
    answer._content = only(case)
    return _parse("FUZZ", answer)


def _lines(case: Case) -> list[str]:
    return only(case).decode(errors="replace").splitlines()


def facts() -> dict[str, type[FactBase[Any]]]:
    """Every fact of ours, by name."""
    modules = [
        importlib.import_module(f"sealift.facts.{found.name}")
        for found in pkgutil.iter_modules(sealift.facts.__path__)
    ]
    return {
        name: fact
        for module in modules
        for name, fact in vars(module).items()
        if isinstance(fact, type) and issubclass(fact, FactBase) and fact.__module__ == module.__name__
    }


_SAID = {
    "InstalledPackages": "ii \tdash\t0.5\nrc \tgone\t1\njournal",
    "ComposeContainers": '{"service":"a","spec":"b","image":"c","state":"running","health":""}\n'
    + f"{'0' * 64}  /proc/17/root/etc/x",
    "Daemon": "UnitFileState=enabled\nActiveState=active\n"
    "ExecMainStartTimestamp=Sat 2026-11-21 12:28:11.123456 UTC\nConfigured=1795262400.5",
    "GenerationFiles": f"entry\t\t700\td\nentry\ta\t600\tf\n{'0' * 64}  ./a",
    "HostStore": "free 1",
    "Images": '[["driver-type","io.containerd.snapshotter.v1"]]\n{"id":"a","names":["b"],"layers":["c"]}',
    "Models": f"store\ta\t1\t1.0000000000\t7\nplaced\tsha256-a\t1\t1.5\t7\n{'0' * 64}  ./b",
    "MergedDaemonJson": "{}",
    "NvidiaCdi": "driver 570.1\ncurrent",
    "PlainFile": f"f\t0:0\t755\n{'0' * 64}  -",
    "FileList": "/usr/local/bin/tool",
    "Probe": GOOD,
    "TextFile": f"{'0' * 64}  -\n644",
    "Links": "a\t/b",
}
"""What each fact hears from a good host."""


def _fact(kind: type[FactBase[Any]]) -> Callable[[Case, Path], object]:
    def read(case: Case, _: Path) -> object:
        try:
            return kind().process(_lines(case))
        except FactProcessError as error:  # what pyinfra ends a host's turn with, without a traceback
            raise SealiftError(f"FUZZ: {str(error)[:200]!r}") from None

    return read


_HEX = "0" * 64
_CONTAINER = "container=shop|shop-web-1|0.0.0.0:8443->8443/tcp, [::]:8443->8443/tcp"
_DOCKER = 'configuration=/etc/docker/daemon.json site\ndaemon_json={"log-opts": {"max-size": "1g"}}'
_INVENTORY = [{"name": "FUZZ", "groups": ["llm"], "data": {**fleet_site.DATA, "ollama": {"cpus": 1.5}}}]
_HAVE = HaveList(site="here", releases={"demo:1": f"sha256:{_HEX}"}, blobs={_HEX: 7, "1" * 64: 0})
_LISTING = f"blob {_HEX} 7 1.0000000000 444\npartial {'1' * 64} 3\nfree 65536\n".encode()


def targets() -> tuple[Target, ...]:
    """All of them; their seeds are made when they are asked for."""
    index = layout.read_index(_bundle())
    found = layout.read_layout(index, BlobStore(_bundle()))
    sbom = BlobStore(_bundle()).path(found.entry(layout.SBOM_REF).manifest.layers[0].blob).read_bytes()
    table = alone(dict(_media_seed())["TABLE.txt"])
    facts_heard = (
        Target(
            f"fact {name}", alone(_SAID.get(name, "").encode()), _fact(kind), (b"\t", b"  ", b"  ./", b"|")
        )
        for name, kind in sorted(facts().items())
    )
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
        Target("folder of an exported image", alone(index), _own_export, (b"manifests", b"annotations")),
        Target("listing of a host store", alone(_LISTING), _listing, (b"blob ", b"partial ", b"free ")),
        Target(
            "probe of a host",
            alone(GOOD.replace("end=", f"{_CONTAINER}\n{_DOCKER}\nend=").encode()),
            _probe,
            (b"listener=", b"container=", b"end=", b"->", b"docker_root=/", b"docker_container="),
        ),
        Target(
            "status of a host",
            alone(STATUS.encode()),
            _status,
            (b"release={", b"runs=", b"model=", b"|"),
        ),
        Target(
            "generations of a host",
            alone(f"sealift-generation={CURRENT} 0123456789ab\n{_SAID['GenerationFiles']}\n".encode()),
            _generations,
            (b"sealift-generation=", b"entry\t", b"  ./"),
        ),
        Target("inventory", alone(json.dumps(_INVENTORY).encode()), _inventory, where="inventor", cost=2),
        Target("complaint of a host", alone(b"ssh: x\nsh: 1: no such thing\n"), _complaint),
        Target("pyinfra's log", alone(b"--> a\n  error\n"), lambda case, _: complaint(only(case))),
        Target(
            "report of pytest",
            alone(test_evidence.REPORT),
            _junit,
            (b"<testcase ", b"&#10;", b"<!DOCTYPE", b"time="),
            cost=10,
        ),
        Target("answer of a model", alone(json.dumps(ANSWER).encode()), _answer),
        *facts_heard,
    )
