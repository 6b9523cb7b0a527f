"""A whole site with a bundle of a few kilobytes, so that every byte of it can be spoiled."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

from sealift.bundle.build import build
from sealift.content import digest_of
from sealift.progress import silent
from sealift.release.locked import Lock, LockedFile
from tests.unit import samples
from tests.unit.samples import GATEWAY, GEMMA, IMAGE, MODEL, Site

_LAYER = b"a layer"
_TOOL = b"a tool"
_FIGURES = {key: value for key, value in GEMMA.items() if not key.startswith("tokenizer")}


def site(folder: Path) -> Site:
    """One package, two images of one layer, one model of two roles, one file; below `folder / "bundle"`."""
    sources = folder / "sources"
    samples.tar(sources / "ollama.tar", samples.docker_files([_LAYER], IMAGE))
    samples.tar(sources / "gateway.tar", samples.docker_files([_LAYER], GATEWAY))
    samples.tar(sources / "model.tar", samples.ollama_files(samples.gguf(_FIGURES)))
    (sources / "apt").mkdir()
    (sources / "apt" / "hello.deb").write_bytes(b"a package")
    (sources / "tool").write_bytes(_TOOL)
    roles = {
        "chat": {"model": MODEL},
        "sum": {"model": MODEL, "system": "Sum up.", "parameters": {"seed": 1}},
    }
    wanted = samples.release(files={"tool": {"path": "tool", "target": "/opt/tool"}}, roles=roles)
    lock = Lock(
        release=wanted,
        keys=samples.KEYS,
        packages=(samples.package("hello", b"a package"),),
        images={key: samples.lock_image(image, sources) for key, image in wanted.images.items()},
        models={MODEL: samples.lock_model(MODEL, wanted.models[MODEL], sources)},
        files={"tool": LockedFile(blob=digest_of(_TOOL))},
    )
    key = samples.signing_key(folder / "signing_key")
    allowed = folder / "allowed_signers"
    allowed.write_text(f'release@example.org namespaces="sealift" {key.with_suffix(".pub").read_text()}')
    with patch.dict(os.environ, {"SEALIFT_CACHE": str(folder / "cache")}):
        build(lock, sources, folder / "bundle", key, silent)
    return Site(lock, sources, key, allowed)
