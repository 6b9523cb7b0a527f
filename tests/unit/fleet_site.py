"""A good lock and good settings for the tests of the fleet: each spoils one thing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from sealift.blob import Blob
from sealift.host import settings
from sealift.host.given import SiteFiles
from sealift.host.settings import SiteSettings
from sealift.host.wanted import Wanted, want
from sealift.release.locked import Lock, LockedImage
from sealift.release.locked_model import LockedModel, ModelLayer, Shape
from sealift.release.roles import first_choices
from sealift.release.types import Release
from tests.unit import samples

MIB = 1 << 20
MODEL = samples.MODEL


def blob(number: int, size: int) -> Blob:
    return Blob(digest=f"sha256:{number:064x}", size=size)


def layer(number: int, size: int, kind: str) -> ModelLayer:
    return ModelLayer(digest=f"sha256:{number:064x}", size=size, media_type=f"application/vnd.ollama.{kind}")


def image(number: int, *layers: Blob) -> LockedImage:
    return LockedImage(name=samples.IMAGE, archive="image.tar", config=blob(number, 500), layers=layers)


# Gemma 3 270M's
SHAPE = Shape(
    architecture="gemma3",
    layers=18,
    heads=4,
    heads_per_kv_head=4,
    width=640,
    vocabulary=262144,
    kv_bytes_per_token=18 * 1024,
    quantizes_cache=True,
    embedding=170 * MIB,
    tied=True,
)


def lock(wanted: Release | None = None) -> Lock:
    base = blob(1, 70 * MIB)
    return Lock(
        release=wanted or samples.release(),
        keys=samples.KEYS,
        packages=(samples.package("docker.io", b"docker"),),
        images={"ollama": image(10, base, blob(2, 30 * MIB)), "gateway": image(11, base, blob(3, 100 * MIB))},
        models={
            MODEL: LockedModel(
                archive="model.tar",
                manifest=blob(20, 400),
                config=layer(21, 500, "config"),
                layers=(layer(22, 240 * MIB, "image.model"), layer(23, 8 * MIB, "image.license")),
                context_length=32768,
                shape=SHAPE,
            )
        },
    )


DATA: dict[str, Any] = {
    "release": "demo:2026.11.0",
    "depot": "/srv/depot",
    "secrets": "secrets.age",
    "identity": "/root/age.key",
    "ssh_config_file": "ssh_config",
    "gateway": {"certificate": "tls/{host}.crt", "key": "tls/{host}.key", "ca": "tls/ca.crt"},
}


def three_hosts(folder: Path, **more: object) -> SiteSettings:
    """Settings of a site of h1, h2 and h3, with files of its own."""
    config = folder / "ssh_config"
    config.write_text("".join(f"Host h{n}\n  HostName 10.0.0.{n}\n" for n in (1, 2, 3)))
    return site_settings(ssh_config_file=str(config), secrets=str(folder / "secrets.age"), **more)


def site_settings(**changes: Any) -> SiteSettings:
    return settings.parse("h1", {**DATA, **changes})


BUNDLE = f"sha256:{'b' * 64}"
SITE_FILES = SiteFiles({"billing": (SecretStr("key-of-billing-7Qw"),)}, b"cert", b"key")


def wanted(
    *groups: str, of: Lock | None = None, answers: Mapping[str, str] | None = None, **settings: Any
) -> Wanted:
    """What h1 is to be."""
    found = of or lock()
    roles = found.release.roles_for(frozenset(groups))
    choice = first_choices(roles) if answers is None else answers
    return want("h1", frozenset(groups), site_settings(**settings), found, BUNDLE, choice, SITE_FILES)
