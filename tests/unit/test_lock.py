"""A lock is foreign until it is parsed: nothing in it reaches a path, a shell or an index that should not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sealift.errors import SealiftError
from sealift.files import parse_json
from sealift.release.lockfile import dump_lock, parse_lock
from tests.unit import fleet_site
from tests.unit.samples import GATEWAY, MODEL


def _lock() -> dict[str, Any]:
    lock: dict[str, Any] = json.loads(dump_lock(fleet_site.lock()))
    lock["images"]["gateway"]["name"] = GATEWAY
    return lock


def _refusal(lock: dict[str, Any]) -> str:
    with pytest.raises(SealiftError) as refusal:
        parse_lock(json.dumps(lock).encode(), "lock")
    return str(refusal.value)


def test_a_good_lock_is_parsed() -> None:
    assert parse_lock(json.dumps(_lock()).encode(), "lock").release.name == "demo"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "--allow-unauthenticated"),
        ("version", "1\nFilename: x"),
        ("version", "../../../etc/cron.d/x"),
        ("version", "1 -o Dir::Etc=/"),
        ("version", "-1"),
        ("architecture", "all/../.."),
        ("architecture", "arm64"),
        ("path", "../x.deb"),
        ("path", "/etc/passwd"),
        ("path", "pool/.x.deb"),
        ("path", "pool//x.deb"),
        ("path", "x y.deb"),
        ("control", {"Depends": "libc6\nFilename: x"}),
        ("control", {"Depends": "libc6\rFilename: x"}),
        ("control", {"filename": "x"}),
        ("control", {"Depends: x\nFilename": "x"}),
        ("control", {"Depends": "\ud800"}),
    ],
)
def test_a_hostile_package_is_refused(key: str, value: object) -> None:
    lock = _lock()
    lock["packages"][0][key] = value
    assert _refusal(lock).startswith(f"lock: packages.0.{key}")


@pytest.mark.parametrize("name", ["-v/a:1", "a/b:1 c", "a/b", "../a:1", "a/b:-1"])
def test_a_hostile_image_name_is_refused(name: str) -> None:
    lock = _lock()
    lock["images"]["ollama"]["name"] = name
    assert "images.ollama.name" in _refusal(lock)


@pytest.mark.parametrize("media_type", ["", "a\nb", "\ud800", "x" * 256])
def test_a_hostile_media_type_is_refused(media_type: str) -> None:
    lock = _lock()
    lock["models"][MODEL]["layers"][0]["media_type"] = media_type
    assert f"models.{MODEL}.layers.0.media_type" in _refusal(lock)


def test_parts_that_are_not_of_one_release_are_all_told() -> None:
    lock = _lock()
    lock["packages"].append({**lock["packages"][0], "source": "elsewhere"})
    del lock["images"]["gateway"]
    lock["release"]["images"]["ollama"]["name"] = "docker.io/ollama/ollama:0.0.1"
    lock["release"]["roles"]["embed"] = {"model": "other:1b", "fallback": ["tiny:1b", "other:1b"]}
    lock["release"]["models"]["more:1b"] = {"archive": "more.tar"}
    lock["models"][MODEL]["layers"] = lock["models"][MODEL]["layers"][1:]
    assert _refusal(lock).splitlines() == [
        f"lock: {mistake}. Make it again with sealift lock."
        for mistake in (
            "packages: docker.io stands there twice",
            "packages: docker.io is of elsewhere, which is no source of the release",
            "images: gateway is missing",
            "images: ollama is docker.io/ollama/ollama:0.11.4, the release has docker.io/ollama/ollama:0.0.1",
            f"models: has {MODEL}, the release more:1b, {MODEL}",
            f"models: {MODEL} has no weights",
            "roles: embed is played by other:1b, which is missing",
            "roles: embed is played by tiny:1b, which is missing",
            "roles: embed is played by other:1b, which is missing",
            "roles: embed has a model twice",
        )
    ]


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', "[Infinity]", "[" * 100_000, "9" * 5000])
def test_json_that_others_read_differently_is_refused(text: str) -> None:
    with pytest.raises(SealiftError, match=r"^x: is not JSON"):
        parse_json(text.encode(), "x")
