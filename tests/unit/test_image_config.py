"""The config of an exported image, out of what its base says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.oci.image_config import BaseConfig

BASE = {
    "created": "2026-11-01T00:00:00Z",
    "architecture": "amd64",
    "os": "linux",
    "config": {
        "Entrypoint": ["/bin/ollama"],
        "Cmd": ["serve"],
        "Env": ["PATH=/usr/bin", "OLLAMA_MODELS=/elsewhere", "OLLAMA_HOST=0.0.0.0:11434"],
        "ExposedPorts": {"11434/tcp": {}},
        "Labels": {"org.opencontainers.image.version": "24.04"},
    },
    "history": [{"created_by": "FROM"}],
    "rootfs": {"type": "layers", "diff_ids": [digest_of(b"base").digest]},
}


def _based_on(**changes: Any) -> BaseConfig:
    return BaseConfig(json.dumps({**BASE, **changes}).encode(), (digest_of(b"base"),), "ollama")


def test_the_config_keeps_what_its_base_says() -> None:
    config = _based_on().with_layer(digest_of(b"model"), {"OLLAMA_MODELS": "/models"}, {"a": "b"}, "sealift")
    assert json.loads(config) == {
        **BASE,
        "config": {
            **BASE["config"],  # type: ignore[dict-item]
            "Env": ["PATH=/usr/bin", "OLLAMA_HOST=0.0.0.0:11434", "OLLAMA_MODELS=/models"],
            "Labels": {"org.opencontainers.image.version": "24.04", "a": "b"},
        },
        "history": [{"created_by": "FROM"}, {"created": "2026-11-01T00:00:00Z", "created_by": "sealift"}],
        "rootfs": {"type": "layers", "diff_ids": [digest_of(b"base").digest, digest_of(b"model").digest]},
    }


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ("2026-11-01T00:00:00Z", 1793491200),
        ("2026-11-01T00:00:00.123456789+01:00", 1793487600),
        ("2026-11-01T00:00:00", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("yesterday", 0),
        (None, 0),
    ],
)
def test_files_are_as_old_as_the_base(created: str | None, seconds: int) -> None:
    assert _based_on(created=created).created == seconds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"Env": [1]}}, r"ollama: config: config\.Env\.0: "),
        ({"config": []}, "ollama: config: config: "),
        ({"history": "long"}, "ollama: config: history: "),
        ({"rootfs": {"diff_ids": ["../../x"]}}, r"rootfs\.diff_ids\.0: "),
        ({"rootfs": {"diff_ids": []}}, "is of other layers than the lock's"),
        ({"author": "\ud800"}, "is no Unicode"),
    ],
)
def test_a_base_that_is_not_as_oci_has_it_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SealiftError, match=message):
        _based_on(**changes).with_layer(digest_of(b"model"), {}, {}, "sealift")
