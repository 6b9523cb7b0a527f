"""A host goes back to a generation out of its own store, wherever that is cut off."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.host.record import RECORD, parse_record
from sealift.host.wanted import Wanted
from sealift.release.locked import LockedFile
from sealift.release.types import File
from tests.unit import samples
from tests.unit.fleet_site import lock, wanted
from tests.unit.restoring import RestoredHost

DAEMON = "/etc/docker/daemon.json"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of root's are placed")


def _blob(content: bytes) -> Blob:
    return Blob(digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size=len(content))


def _release(version: str, files: dict[str, bytes], packages: dict[str, str], model: str) -> Wanted:
    """What a host is to be by a release that differs in all in which releases can differ."""
    base = lock()
    placed = {name: File(path=name, target=f"/opt/tools/{name}", mode="0755") for name in files}
    release = base.release.model_copy(update={"version": version, "files": placed})
    image = base.images["gateway"].model_copy(
        update={"name": samples.GATEWAY, "config": _blob(version.encode())}
    )
    (weights, licence) = base.models[samples.MODEL].layers
    layers = (weights.model_copy(update={"digest": _blob(model.encode()).digest}), licence)
    own = base.models[samples.MODEL].model_copy(update={"layers": layers})
    change = {
        "release": release,
        "images": {"ollama": base.images["ollama"], "gateway": image},
        "packages": tuple(
            samples.package(name, b"x").model_copy(update={"version": each})
            for name, each in packages.items()
        ),
        "models": {samples.MODEL: own},
        "files": {name: LockedFile(blob=_blob(content)) for name, content in files.items()},
    }
    return wanted(of=base.model_copy(update=change), docker={"log_max_file": len(packages) + 1})


OLD = _release("2026.11.0", {"tool": b"old", "gone": b"x"}, {"docker.io": "1", "pv": "1"}, "old weights")
NEW = _release("2026.11.1", {"tool": b"new", "come": b"y"}, {"docker.io": "2", "extra": "1"}, "new weights")


def _equip(host: RestoredHost, release: Wanted) -> None:
    """Have all blobs of a release in the host store."""
    for blob in (blob for image in release.images.values() for blob in (image.config, *image.layers)):
        host.blob(release.lock.release.version.encode(), blob.hex)
    for named in release.names:
        for blob in named.variant.blobs:
            host.blob(b"weights", blob.hex)
    for name, (_, blob) in release.files.items():
        host.blob(
            {"gone": b"x", "come": b"y"}.get(name, release.lock.release.version[-1:].encode()), blob.hex
        )


@pytest.fixture
def host(tmp_path: Path) -> RestoredHost:
    """A host that runs the old release, as its own script makes it."""
    host = RestoredHost(tmp_path)
    for release, tool in ((OLD, b"old"), (NEW, b"new")):
        _equip(host, release)
        _, blob = release.files["tool"]
        host.blob(tool, blob.hex)
        own = release.images["ollama"]
        host.image(own.name, own.image_id)
        host.has(release.generation, stood={DAEMON: release.lock.release.version})
    host.point("current", OLD.generation.id)
    host.point("previous", OLD.generation.id)
    return host


def _old_state(host: RestoredHost) -> dict[str, str]:
    """All of a host that is back on the old release."""
    ran = host.restore()
    assert ran.returncode == 0, ran.stderr
    return host.state()


@needs_root
def test_a_host_goes_back_to_all_that_it_was(host: RestoredHost) -> None:
    before = _old_state(host)
    assert before["opt/tools/tool"] == "old" and before["state/packages/docker.io"] == "ii  docker.io 1\n"
    host.point("previous", NEW.generation.id)
    ran = host.restore()
    assert ran.returncode == 0, ran.stderr
    after = host.state()
    assert after["opt/tools/tool"] == "new" and "opt/tools/gone" not in after
    assert after["state/packages/extra"] == "ii  extra 1\n" and "state/packages/pv" not in after
    assert after["etc/docker/daemon.json"] == "2026.11.1"
    assert {path for path in before if "/manifests/" in path} == {p for p in after if "/manifests/" in p}
    assert before != after

    (host.root / "armed").touch()
    (host.root / "generations" / NEW.generation.id).unlink()  # nothing of it is needed for the way back
    host.point("previous", OLD.generation.id)
    ran = host.restore()
    assert ran.returncode == 0, ran.stderr
    gone = f"sealift/generations/{NEW.generation.id}"
    assert host.state() == {path: held for path, held in before.items() if path != gone}
    assert "puts back" in ran.stdout and "installs docker.io 1, pv 1" in ran.stdout


@needs_root
def test_a_second_time_changes_nothing(host: RestoredHost) -> None:
    before = _old_state(host)
    told = host.units()
    ran = host.restore()
    assert ran.returncode == 0 and host.state() == before
    assert host.units() == told  # no daemon restarts
    assert [line.split(" ", 1)[1] for line in ran.stdout.splitlines()] == [
        *(f"runs {service.project}" for service in OLD.services),
        f"this host is what generation {OLD.generation.id} was",
    ]


@needs_root
@pytest.mark.parametrize("every", [29, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_killed_anywhere_it_is_run_again_and_ends_in_the_same(host: RestoredHost, every: int) -> None:
    before = _old_state(host)
    at = 0
    while True:
        host.point("previous", NEW.generation.id)
        assert host.restore().returncode == 0
        host.point("previous", OLD.generation.id)
        at += every
        killed = host.restore(deadly=at)
        if killed.returncode == 0:
            break
        assert host.restore().returncode == 0
        assert host.state() == before, f"killed at call {at} of a tool"
    assert at > 60


@needs_root
def test_a_key_that_was_revoked_meanwhile_does_not_come_back(host: RestoredHost) -> None:
    keys = "gateway/live/keys.yaml"
    _old_state(host)
    host.point("current", NEW.generation.id)
    (host.root / "current" / keys).write_text("the keys of today")
    assert host.restore().returncode == 0
    assert (host.root / "live" / "gateway/keys.yaml").read_text() == "the keys of today"


@needs_root
def test_a_service_that_does_not_come_up_is_told_and_the_host_stays_armed(host: RestoredHost) -> None:
    (host.root / "armed").touch()
    host.breaks()
    ran = host.restore()
    assert ran.returncode == 1
    assert "sealift-ollama does not come up. Look at: docker logs sealift-ollama-ollama-1" in ran.stderr
    assert (host.root / "armed").exists() and not (host.root / "returned").exists()
    host.breaks(False)
    assert host.restore().returncode == 0
    assert not (host.root / "armed").exists()
    assert (host.root / "returned").read_text().endswith(f" {OLD.generation.id}\n")


@needs_root
def test_a_blob_that_is_missing_or_damaged_is_told(host: RestoredHost) -> None:
    _, blob = OLD.files["tool"]
    path = host.root / "blobs/sha256" / blob.hex
    path.write_bytes(b"damaged")
    ran = host.restore()
    assert ran.returncode == 1 and f"{path}: damaged" in ran.stderr
    path.unlink()
    ran = host.restore()
    assert ran.returncode == 1 and f"{path}: missing" in ran.stderr


def test_a_record_says_all_that_is_compared() -> None:
    record = parse_record("h1", OLD.generation.files[RECORD].content.decode())
    assert record.release == "demo:2026.11.0" and record.bundle == OLD.bundle
    assert record.packages == {"docker.io": "1", "pv": "1"}
    assert record.files["/opt/tools/tool"] == ("755", _blob(b"old").hex)
    assert record.images == {image.name: image.image_id for image in OLD.images.values()}
    assert list(record.services) == [service.project for service in OLD.services]
    assert record.services["sealift-gateway"] == (
        OLD.generation.specs["gateway"],
        OLD.images["gateway"].image_id,
    )
    assert set(record.manifests) == {
        "registry.ollama.ai/library/tiny/1m",
        "registry.ollama.ai/library/chat/latest",
    }


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("format 1", "format 2"),
        lambda text: text.replace("format 1\n", ""),
        lambda text: text + "package one\n",
        lambda text: text + "another kind\n",
        lambda text: text + "package a \x1b[2J\n",
        lambda text: text + "release a b\n",
        lambda text: text + "x" * (1 << 20),
    ],
)
def test_a_record_that_was_altered_is_refused(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(SealiftError, match=r"h1: the record of a generation was altered.*sealift apply"):
        parse_record("h1", spoil(OLD.generation.files[RECORD].content.decode()))
