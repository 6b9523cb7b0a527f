"""How fast memory is, and what that allows."""

from __future__ import annotations

import subprocess

import pytest

from sealift.errors import SealiftError
from sealift.measure import bandwidth
from sealift.measure.bandwidth import bytes_per_token, parse_gpu, parse_probe
from tests.unit.fleet_site import MIB, MODEL, SHAPE, lock


def test_memory_is_read_by_the_perl_that_every_host_has() -> None:
    ran = subprocess.run(
        ["perl", "-", "2"], input=bandwidth._PROBE, capture_output=True, check=True, timeout=60
    )
    found = parse_probe("h1", ran.stdout.decode())
    assert found.measured and found.measured.count == 2
    assert 1e8 < found.measured.least <= found.per_second == found.measured.most < 1e13


def test_the_best_round_counts_as_others_take_from_the_rest() -> None:
    found = parse_probe("h1", "cpus=2\nread=20000000000\nread=25000000000\nread=5000000000\n")
    assert (found.per_second, found.of) == (25e9, "2 CPUs")


@pytest.mark.parametrize(
    "said",
    ["", "cpus=2", "read=5", "cpus=2\nread=x", "cpus=2\nread=0", "cpus=2\nread=-1", "cpus=2\ncpus=2\nread=5"],
)
def test_what_the_probe_would_not_say_is_refused(said: str) -> None:
    with pytest.raises(SealiftError, match=r"^h1: does not tell how fast its memory is"):
        parse_probe("h1", said)


def test_a_gpus_memory_is_looked_up() -> None:
    found = parse_gpu("h1", "0, NVIDIA H200, 143771 MiB\n")
    assert found == bandwidth.Bandwidth(4.8e12, "NVIDIA H200, by its data sheet")


@pytest.mark.parametrize("said", ["0, NVIDIA Q9, 1024 MiB", "No devices were found", ""])
def test_of_another_gpu_nothing_is_claimed(said: str) -> None:
    with pytest.raises(SealiftError, match=r"^h1: how fast the memory of its GPU is .* is not known"):
        parse_gpu("h1", said)


def test_a_token_takes_all_weights_and_the_cache_before_it() -> None:
    model = lock().models[MODEL]
    assert bytes_per_token(model, 100, "f16") == 240 * MIB + 100 * 18 * 1024
    assert bytes_per_token(model, 100, "q8_0") < bytes_per_token(model, 100, "f16")


def test_of_a_token_embedding_of_its_own_one_row_is_read() -> None:
    model = lock().models[MODEL].model_copy(update={"shape": SHAPE.model_copy(update={"tied": False})})
    assert bytes_per_token(model, 1, "f16") == (240 - 170) * MIB + 18 * 1024
