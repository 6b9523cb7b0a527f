"""What keeps a host of the group gpu from its release: its driver, and models that do not fit its GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from sealift.host.model_fit import Room, needs
from sealift.host.probe import parse_probe
from sealift.host.settings import OllamaSettings
from sealift.release.locked import Lock
from tests.unit import samples
from tests.unit.fleet_site import MIB, MODEL, lock
from tests.unit.probed import GIB, GOOD, checked, misfit, problems


def test_a_smaller_kv_cache_needs_a_gpu_and_flash_attention() -> None:
    def kv_cache(gpus: tuple[int, ...], **settings: Any) -> int:
        return needs(lock(), OllamaSettings(**settings), Room(8 * GIB, gpus))[0].memory.kv_cache

    whole = 18 * 1024 * 4096
    # 32 elements take 34 bytes in place of 64
    assert kv_cache((GIB,), kv_cache_type="q8_0", flash_attention=True) == whole * 34 // 64
    assert kv_cache((GIB,), kv_cache_type="q8_0") == whole
    assert kv_cache((), kv_cache_type="q8_0", flash_attention=True) == whole


def _on_gpu_host(said: str, wanted: Lock | None = None, **settings: Any) -> list[str]:
    probed = parse_probe(
        "h1", GOOD.replace("end=", "".join(f"gpu={line}\n" for line in said.splitlines()) + "end=")
    )
    return checked(probed, wanted or lock(), frozenset({"gpu"}), 0, **settings)


# As nvidia-smi prints it. The last three: issues of github.com/NVIDIA/open-gpu-kernel-modules (862) and
# nvidia-docker (988), and "Known Issues" of docs.nvidia.com/dgx/dgx-spark.
L4 = "0, NVIDIA L4, 23034 MiB"
SMALL = "0, NVIDIA GeForce GTX 550 Ti, 959 MiB"
NONE_FOUND = "No devices were found"
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
UNIFIED = "0, NVIDIA GB10, [N/A]"


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (NONE_FOUND, "h1: its nvidia-smi says: No devices were found, expected a list of GPUs."),
        (
            NO_DRIVER,
            "h1: its nvidia-smi says: NVIDIA-SMI has failed because it couldn't communicate with the",
        ),
        ("", "h1: has no nvidia-smi, expected NVIDIA's driver on a host of the group gpu. See to its NVIDIA"),
        (UNIFIED, "h1: GPU 0 (NVIDIA GB10) does not say how much memory it has, expected a number of MiB."),
        (f"{L4}\n{NONE_FOUND}", f"h1: its nvidia-smi says: {L4} {NONE_FOUND}, expected"),
    ],
)
def test_gpus_that_cannot_be_reckoned_with_are_refused(said: str, problem: str) -> None:
    assert _on_gpu_host(L4) == []
    (line,) = _on_gpu_host(said)
    assert line.startswith(problem)
    assert problems(parse_probe("h1", GOOD.replace("end=", f"gpu={said.strip()}\nend="))) == []


def test_a_stand_in_has_no_memory_to_look_at() -> None:
    assert _on_gpu_host("", gpu={"stand_in": True}) == []


def test_a_driver_that_the_release_brings_is_not_there_yet() -> None:
    site = lock()
    driver = samples.package("nvidia-smi", b"nvidia-smi", groups=("gpu",))
    assert _on_gpu_host("", site.model_copy(update={"packages": (*site.packages, driver)})) == []


def test_a_model_must_fit_the_gpu_as_a_whole() -> None:
    (problem,) = _on_gpu_host(SMALL)
    assert problem.startswith(
        f"h1: {MODEL} (chat) needs 1300 MiB of GPU memory (240 weights, 72 KV cache, 514 graph, 475 rest), "
        "expected at most 959 MiB, and 394 MiB of the host's memory beside it. "
    )
    assert problem.endswith("It fits with one GPU of 1300 MiB; or take a smaller model.")
    assert _on_gpu_host("0, NVIDIA T400, 1300 MiB") == []
    assert _on_gpu_host("0, NVIDIA T400, 1299 MiB") != []


def test_gpu_memory_takes_less_of_the_hosts_own() -> None:
    assert _on_gpu_host(L4, ollama={"memory_limit_mib": 512}) == []
    assert problems(ollama={"memory_limit_mib": 512}) != []


def test_a_model_may_be_spread_over_gpus_but_each_has_a_graph() -> None:
    long = OllamaSettings(context_length=32768, num_parallel=8)

    def fits(*gpus: int) -> bool:
        return misfit(lock(), long, Room(8 * GIB, tuple(gpu * MIB for gpu in gpus))) is None

    (need,) = needs(lock(), long, Room(8 * GIB, (GIB,)))
    one, two = need.on_gpus(1).total // MIB, need.on_gpus(2).total // MIB
    assert two > one + need.memory.graph // MIB
    assert fits(one + 1) and not fits(one - 1)
    assert fits(two // 2 + 1, two // 2 + 1) and not fits(two // 2 - 1, two // 2 - 1)
    assert fits(one + 1, 100)  # one of them alone


def test_a_smaller_kv_cache_is_offered_where_it_helps() -> None:
    long = {"context_length": 32768, "num_parallel": 8}
    (problem,) = _on_gpu_host("0, NVIDIA RTX A2000, 6138 MiB", ollama=long)
    assert ", or with kv_cache_type q8_0 and flash_attention, or with one GPU of" in problem
    smaller = {**long, "kv_cache_type": "q8_0", "flash_attention": True}
    assert _on_gpu_host("0, NVIDIA RTX A2000, 6138 MiB", ollama=smaller) == []
