"""What the probe of roles understands of what it is told, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from templates.probe.said import (
    Cost,
    Gpu,
    Loaded,
    NonsenseError,
    chat_cost,
    container_memory,
    embed_cost,
    gpus_listed,
    models_loaded,
    mounted,
    names_listed,
    read_object,
)

# As Ollama 0.11.4 says it.
LAST = (
    b'{"model":"chat","created_at":"2026-11-29T15:00:00Z","message":{"role":"assistant","content":""},'
    b'"done_reason":"length","done":true,"total_duration":1203456789,"load_duration":41234567,'
    b'"prompt_eval_count":18,"prompt_eval_duration":130079000,"eval_count":16,"eval_duration":1000000000}\n'
)
EMBEDDED = (
    b'{"model":"embed","embeddings":[[0.01,-0.2,3e-05]],"total_duration":14143917,"load_duration":1019500,'
    b'"prompt_eval_count":8}'
)
TAGS = b'{"models":[{"name":"chat:latest","model":"chat:latest","size":1},{"name":"gemma3:270m"}]}'
PS = b'{"models":[{"name":"chat:latest","size":811000000,"size_vram":620599808,"context_length":2048}]}'
# An H200's figures of 27 November 2026, out of nvidia-smi's table; the line is put together here.
H200 = "0, NVIDIA H200, 0, 735, 143771, 32, 76.41\n"


def _without(key: str) -> dict[str, object]:
    return {name: value for name, value in read_object(LAST).items() if name != key}


def test_the_end_of_a_stream_says_what_it_cost() -> None:
    assert chat_cost(read_object(LAST)) == Cost(0.041234567, 16.0)


def test_how_fast_three_tokens_came_nobody_can_say() -> None:
    assert chat_cost({**read_object(LAST), "eval_count": 3}).tokens_per_second is None
    assert chat_cost(_without("eval_duration")).tokens_per_second is None
    assert chat_cost({**read_object(LAST), "eval_count": 4}).tokens_per_second == 4.0


@pytest.mark.parametrize(
    "spoiled",
    [
        _without("done"),
        {**read_object(LAST), "done": "true"},
        {**read_object(LAST), "error": "llama runner process has terminated"},
        {**read_object(LAST), "eval_count": -1},
        {**read_object(LAST), "eval_count": 1e300},
        {**read_object(LAST), "load_duration": True},
        {**read_object(LAST), "eval_duration": 1 << 80},
    ],
)
def test_a_stream_that_does_not_end_well_is_no_answer(spoiled: dict[str, object]) -> None:
    with pytest.raises(NonsenseError):
        chat_cost(spoiled)


def test_an_embedding_says_what_it_cost() -> None:
    assert embed_cost(read_object(EMBEDDED)) == Cost(0.0010195)


@pytest.mark.parametrize("embeddings", [None, [], [[]], [["a"]], [[1], [2]], [[True]], [1], "x", {"a": 1}])
def test_what_has_no_embedding_is_no_answer(embeddings: object) -> None:
    with pytest.raises(NonsenseError):
        embed_cost({**read_object(EMBEDDED), "embeddings": embeddings})


def test_an_embedding_of_no_numbers_is_no_answer() -> None:
    with pytest.raises(NonsenseError):
        embed_cost(read_object(EMBEDDED.replace(b"0.01", b"NaN")))


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"{", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(NonsenseError):
        read_object(text)


def test_lists_say_names_and_sizes() -> None:
    assert names_listed(read_object(TAGS)) == {"chat", "gemma3:270m"}
    assert models_loaded(read_object(PS)) == (Loaded("chat", 811000000, 620599808),)
    assert models_loaded(read_object(b'{"models":[]}')) == ()


@pytest.mark.parametrize(
    "models", [None, {}, [1], [{}], [{"name": 7}], [{"name": 'a"}'}], [{"name": ""}], [{"name": "a"}] * 1001]
)
def test_a_list_that_is_none_is_refused(models: object) -> None:
    for read in (names_listed, models_loaded):
        with pytest.raises(NonsenseError):
            read({"models": models})


def test_a_model_is_told_once_however_often_it_is_listed() -> None:
    twice = json.loads(PS)["models"] * 2
    assert len(models_loaded({"models": twice})) == 1


def test_nvidia_smi_says_what_a_gpu_does() -> None:
    mib = 1 << 20
    assert gpus_listed(H200) == (Gpu(0, "NVIDIA H200", 0.0, 735 * mib, 143771 * mib, 32.0, 76.41),)


def test_what_a_gpu_does_not_tell_is_left_open() -> None:
    (found,) = gpus_listed("3, NVIDIA GB10, 12, [N/A], [N/A], 40, [Not Supported]\n")
    assert found == Gpu(3, "NVIDIA GB10", 0.12, None, None, 40.0, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        H200 + "Unable to determine the device handle for GPU0000:07:00.0: Unknown Error\n",
        "0, NVIDIA H200, 0, 735, 143771, 32\n",
        "0, NVIDIA H200, 0, 735, 143771, 32, 76.41 W\n",
        "0, NVIDIA\x1b[31m, 0, 735, 143771, 32, 76.41\n",
        "0, NVIDIA H200, 0, -1, 143771, 32, nan\n",
    ],
)
def test_anything_else_of_nvidia_smi_is_no_gpu(text: str) -> None:
    with pytest.raises(NonsenseError):
        gpus_listed(text)


STATUS = (
    "Name:\tollama\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4711\nPPid:\t4690\n"
    "NStgid:\t4711\t1\nNSpid:\t4711\t1\nNSpgid:\t4711\t1\nVmPeak:\t 2000000 kB\nVmRSS:\t  735000 kB\n"
    "RssAnon:\t  100000 kB\nThreads:\t12\n"
)


MOUNTS = (
    "1 0 0:1 / / ro,relatime - overlay overlay ro\n"
    "2 1 8:1 /usr/local/nvidia/lib64/x.so /usr/local/nvidia/lib64/x.so ro - ext4 /dev/sda1 rw\n"
    "3 1 8:1 /usr/local/nvidia/bin/nvidia-smi /usr/local/nvidia/bin/nvidia-smi ro - ext4 /dev/sda1 rw\n"
)


def test_memory_of_a_process_in_a_container_counts() -> None:
    assert container_memory(STATUS) == 735000 * 1024


def test_memory_of_a_process_outside_of_containers_does_not() -> None:
    assert container_memory(STATUS.replace("NSpid:\t4711\t1", "NSpid:\t4711")) == 0
    assert container_memory(STATUS.replace("VmRSS", "VmXXX")) == 0  # it has ended
    assert container_memory("") == 0


def test_a_program_that_is_mounted_by_itself_is_found() -> None:
    assert mounted(MOUNTS, "nvidia-smi") == "/usr/local/nvidia/bin/nvidia-smi"
    assert mounted(MOUNTS, "smi") is None
    assert mounted(Path("/proc/self/mountinfo").read_text(), "nvidia-smi-of-nobody") is None
    assert mounted("", "nvidia-smi") is None
