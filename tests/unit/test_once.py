"""What several threads ask for is found out once; and other instances do not wait for it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from sealift.content import Content
from sealift.once import once
from sealift.progress import Progress
from sealift.release.types import Image, Model
from sealift.sources.arrivals import Arrivals
from sealift.sources.kinds import image_source, model_source
from tests.unit import samples


class _Tarball:
    def __init__(self, begun: Barrier) -> None:
        self.asked: list[str] = []
        self._begun = begun

    @once
    def names(self) -> str:
        self.asked.append("names")
        self._begun.wait(5)
        time.sleep(0.05)
        return "manifest.json"

    @once
    def first(self) -> str:
        """Asks for another one."""
        self.asked.append("first")
        return self.names


def test_each_instance_finds_out_once_whichever_thread_asks_first() -> None:
    begun = Barrier(2)
    tarballs = (_Tarball(begun), _Tarball(begun))  # at once: neither goes on before the other one has begun
    asks: list[Callable[[_Tarball], str]] = [lambda tarball: tarball.first, lambda tarball: tarball.names]
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, tarball) for ask in asks * 2 for tarball in tarballs]
        assert {answer.result(10) for answer in answers} == {"manifest.json"}
    assert all(sorted(tarball.asked) == ["first", "names"] for tarball in tarballs)


def test_a_mistake_is_not_kept() -> None:
    begun = Barrier(1)
    tarball = _Tarball(begun)
    begun.abort()
    with pytest.raises(RuntimeError):
        _ = tarball.first
    begun.reset()
    assert tarball.first == "manifest.json"


def test_a_compressed_tarball_is_read_once_for_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.tar(tmp_path / "image.tar", samples.docker_files([samples.layer(b"one"), samples.layer(b"two")]))
    samples.tar(tmp_path / "model.tar", samples.ollama_files(samples.gguf(samples.GEMMA)))
    for path in tmp_path.glob("*.tar"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    image, model = Image(name=samples.IMAGE, archive="image.tar"), Model(archive="model.tar")
    locked_image = samples.lock_image(image, tmp_path)
    locked_model = samples.lock_model(samples.MODEL, model, tmp_path)
    read: list[str] = []

    def plain_tarball(arrivals: Arrivals, path: Path, progress: Progress, *, pins: bool) -> Path:
        read.append(path.name)
        time.sleep(0.1)
        return original(arrivals, path, progress, pins=pins)

    original = Arrivals.plain_tarball
    monkeypatch.setattr(Arrivals, "plain_tarball", plain_tarball)
    machine = samples.machine(tmp_path)
    images, models = (
        image_source(image, machine),
        model_source(samples.MODEL, Model(archive="model.tar"), machine),
    )
    with ThreadPoolExecutor(8) as pool:
        opened = [pool.submit(images.open, locked_image, blob) for blob in locked_image.layers]
        opened += [pool.submit(models.open, locked_model, blob) for blob in locked_model.blobs]
        contents: list[Content] = [content.result(10) for content in opened]
    assert len(contents) > 4
    assert sorted(read) == ["image.tar", "model.tar"]
