"""What keeps a host from its release: a good host, spoiled in one way each time."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import SealiftError
from sealift.host.model_fit import Misfit, Room, choose, needs
from sealift.host.preflight import check, room_of, twins
from sealift.host.probe import Disk, HostFacts, Listener, RunningContainer, parse_probe, probe, shell_problems
from sealift.host.settings import OllamaSettings
from sealift.release.locked import Lock
from sealift.release.roles import placed_models, role_tags
from tests.unit import samples
from tests.unit.fleet_site import MIB, MODEL, lock, site_settings

GIB = 1 << 30
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD = """\
begin=
os=debian
suite=trixie
architecture=amd64
package=dash
package=openssh-server
uid=0
systemd=yes
clock=1795262400
memory=8589934592
store_disk=65024 10737418240
docker_disk=65025 10737418240
listener=22 users:(("sshd",pid=17,fd=3))
own=machine-id 0123
own=SSH-key AAAAC3Nz
rollout=0123 root on control out of /srv/depot, since 2026-11-21 12:00:00 UTC
end=
"""
ALL = frozenset({"all"})
HOST = parse_probe("h1", GOOD)
OURS = RunningContainer("sealift-gateway", "sealift-gateway-1", frozenset({8443}))
FOREIGN = RunningContainer("shop", "shop-web-1", frozenset({8443}))
DOCKERD = Listener(8443, "dockerd")


def misfit(wanted: Lock, ollama: OllamaSettings, room: Room) -> Misfit | None:
    return choose(wanted, ALL, ollama, room).misfit


def with_models(roles: dict[str, Any], **more: int) -> Lock:
    """A lock with these roles. + more: bytes of the weights of further models."""
    document = samples.release().model_dump()
    models = {**document["models"], **{name: {"archive": "more.tar"} for name in more}}
    site = lock(samples.release(models=models, roles=roles))
    (one,) = site.models.values()
    made = {
        name: one.model_copy(
            update={"layers": (one.layers[0].model_copy(update={"size": size}), *one.layers[1:])}
        )
        for name, size in more.items()
    }
    return site.model_copy(update={"models": {**site.models, **made}})


def problems(facts: HostFacts = HOST, to_ship: int = 0, **settings: Any) -> list[str]:
    return _checked(facts, lock(), ALL, to_ship, **settings)


def _checked(
    facts: HostFacts, wanted: Lock, groups: frozenset[str], to_ship: int, **settings: Any
) -> list[str]:
    parsed = site_settings(**settings)
    found = choose(wanted, groups, parsed.ollama, room_of(facts, parsed, groups)).misfit
    return [str(problem) for problem in check("h1", facts, parsed, wanted, groups, found, to_ship, NOW)]


def test_a_good_host_has_no_problem() -> None:
    assert HOST.listeners == (Listener(22, "sshd"),)
    assert problems() == []


def test_this_machine_can_be_probed() -> None:
    ran = subprocess.run(["sh", "-c", probe(site_settings())], capture_output=True, text=True, check=True)
    facts = parse_probe("h1", ran.stdout)
    assert facts.memory > 0 and facts.store_disk.free > 0 and "dash" in facts.packages


@pytest.mark.parametrize("number", ["x", "-5", "9" * 400, "9" * 5000, "\u0663", ""])
@pytest.mark.parametrize("old", ["clock=1795262400", "memory=8589934592", "store_disk=65024 10737418240"])
def test_numbers_that_are_none_are_refused(old: str, number: str) -> None:
    key, _, value = old.partition("=")
    with pytest.raises(SealiftError, match="does not say what it is"):
        parse_probe("h1", GOOD.replace(old, f"{key}={value.rpartition(' ')[0]} {number}".replace("= ", "=")))


def test_what_a_host_says_moves_no_cursor() -> None:
    spoiled = parse_probe("h1", GOOD.replace("suite=trixie", "suite=\x1b[2Jtrixie"))
    assert problems(spoiled)[0].startswith("h1: runs debian ?[2Jtrixie, expected debian trixie.")


def test_a_probe_that_broke_off_is_refused() -> None:
    with pytest.raises(SealiftError, match=r"^h1: does not say what it is"):
        parse_probe("h1", GOOD.replace("end=\n", ""))


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        (replace(HOST, suite="bookworm"), "h1: runs debian bookworm, expected debian trixie."),
        (replace(HOST, architecture="arm64"), "h1: is arm64, expected amd64."),
        (replace(HOST, root=False), "h1: is logged in to without being root, expected root."),
        (replace(HOST, systemd=False), "h1: was not started by systemd, expected systemd."),
        (replace(HOST, memory=3 * GIB // 4), "h1: has 768 MiB of memory, expected at least 1024."),
        (replace(HOST, clock=HOST.clock + 400), "h1: its clock is 400 s ahead, expected at most 300 s"),
        (replace(HOST, clock=HOST.clock - 400), "h1: its clock is 400 s behind, expected at most 300 s"),
        (replace(HOST, packages=frozenset({"docker-ce"})), "h1: has docker-ce installed, expected no"),
        (replace(HOST, listeners=(Listener(8443, "nginx"),)), "h1: port 8443 is taken by nginx, expected"),
        (replace(HOST, listeners=(Listener(8443, ""),)), "h1: port 8443 is taken by an unknown process,"),
        (
            replace(HOST, listeners=(DOCKERD,), containers=(FOREIGN,)),
            "h1: port 8443 is taken by container shop-web-1,",
        ),
    ],
)
def test_each_spoiled_fact_is_one_problem_with_a_remedy(spoiled: HostFacts, problem: str) -> None:
    said = problems(spoiled, ollama={"memory_limit_mib": 1024} if spoiled.memory >= GIB else {})
    assert len([line for line in said if line.startswith(problem)]) == 1
    assert all(re.fullmatch(r"h1: .+, expected .+\. [A-Z].+", line) for line in said)


def test_our_own_gateway_may_have_the_port() -> None:
    assert problems(replace(HOST, listeners=(DOCKERD,), containers=(OURS,))) == []


def test_the_release_s_own_engine_is_no_conflict() -> None:
    assert problems(replace(HOST, packages=frozenset({"docker.io"}))) == []


def test_a_disk_needs_what_is_shipped_and_something_left_over() -> None:
    minimum = {"disk_free_mib": 2048}
    assert problems(to_ship=8 * GIB, minimum=minimum) == []
    (problem,) = problems(to_ship=8 * GIB + MIB, minimum=minimum)
    assert problem.startswith(
        "h1: has 10240 MiB of disk free for /var/lib/sealift, "
        "expected 8193 for the release and 2048 left over."
    )


def test_store_and_docker_on_one_disk_share_it() -> None:
    shared = replace(HOST, docker_disk=HOST.store_disk)
    (problem,) = problems(shared, to_ship=8 * GIB - 199 * MIB)
    assert "for /var/lib/sealift and /var/lib/docker," in problem
    assert problem.endswith("set data_folder to a larger disk, or lower minimum.disk_free_mib.")
    loaded = replace(shared, images=frozenset(image.image_id for image in lock().images.values()))
    assert problems(loaded, to_ship=8 * GIB - 199 * MIB) == []


def test_docker_s_copy_of_the_images_counts_a_shared_layer_once() -> None:
    small = replace(HOST, docker_disk=Disk(7, (2048 + 200) * MIB))
    assert problems(small) == []
    smaller = replace(HOST, docker_disk=Disk(7, (2048 + 200) * MIB - 1))
    assert "expected 200 for the release and 2048 left over" in problems(smaller)[0]


def test_a_model_needs_weights_context_and_engine() -> None:
    (need,) = needs(lock(), OllamaSettings(context_length=2048), Room(8 * GIB))
    assert (need.model, need.roles, need.memory.weights) == (MODEL, ("chat",), (240 + 170) * MIB)
    assert need.memory.kv_cache == 18 * 1024 * 4096  # of the role, which asks for more than the site sets


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({"context_length": 8192}, 8192),
        ({"num_parallel": 4}, 4 * 4096),
        ({"context_length": 1_000_000}, 32768),
    ],
)
def test_the_context_is_reckoned_as_ollama_will_have_it(settings: dict[str, Any], tokens: int) -> None:
    (need,) = needs(lock(), OllamaSettings(**settings), Room(8 * GIB))
    assert need.memory.kv_cache == 18 * 1024 * tokens


def test_a_smaller_kv_cache_needs_a_gpu_and_flash_attention() -> None:
    def kv_cache(gpus: tuple[int, ...], **settings: Any) -> int:
        return needs(lock(), OllamaSettings(**settings), Room(8 * GIB, gpus))[0].memory.kv_cache

    whole = 18 * 1024 * 4096
    # 32 elements take 34 bytes in place of 64
    assert kv_cache((GIB,), kv_cache_type="q8_0", flash_attention=True) == whole * 34 // 64
    assert kv_cache((GIB,), kv_cache_type="q8_0") == whole
    assert kv_cache((), kv_cache_type="q8_0", flash_attention=True) == whole


def test_the_graph_grows_with_the_context() -> None:
    def graph(context: int) -> int:
        return needs(lock(), OllamaSettings(context_length=context), Room(8 * GIB))[0].memory.graph

    assert graph(4096) == 4 * 512 * (640 + 262144)  # the output layer's
    assert graph(32768) == graph(4096)
    long = lock()
    long = long.model_copy(
        update={"models": {MODEL: long.models[MODEL].model_copy(update={"context_length": 131072})}}
    )
    (need,) = needs(long, OllamaSettings(context_length=131072), Room(8 * GIB))
    assert need.memory.graph == 4 * 512 * (2 + 131072 * 5 + 4 * 640)


def test_a_model_that_does_not_fit_is_refused_by_name() -> None:
    (problem,) = problems(ollama={"memory_limit_mib": 512})
    assert problem == (
        f"h1: {MODEL} (chat) needs 1220 MiB of memory (410 weights, 72 KV cache, 514 graph, 224 rest), "
        "expected at most 512 MiB, the smaller of host and ollama.memory_limit_mib. "
        "It fits with 1220 MiB; or take a smaller model."
    )


def test_a_refusal_says_what_would_fit() -> None:
    asked = {"memory_limit_mib": 1500, "context_length": 8192, "num_parallel": 4}
    (problem,) = problems(ollama=asked)
    assert problem.endswith(
        "It fits with context 2560 in place of 8192, or with parallel 1 in place of 4, "
        "or with 2396 MiB; or take a smaller model."
    )
    # what it says is so, and is the most that is so
    assert problems(ollama={**asked, "num_parallel": 1}) == []
    assert problems(ollama={**asked, "num_parallel": 2}) != []
    assert problems(ollama={**asked, "memory_limit_mib": 2396}) == []
    assert problems(ollama={**asked, "memory_limit_mib": 2395}) != []


def test_a_host_s_memory_is_a_limit_too() -> None:
    assert misfit(lock(), OllamaSettings(), Room(2 * GIB)) is None
    too_much = misfit(lock(), OllamaSettings(), Room(GIB // 2))
    assert too_much is not None and too_much.expected.startswith("at most 512 MiB")


def test_models_that_are_loaded_together_must_fit_together() -> None:
    both = with_models({"chat": {"model": MODEL}, "sum": {"model": LARGE}}, **{LARGE: 240 * MIB})
    assert misfit(both, OllamaSettings(memory_limit_mib=1300), Room(8 * GIB)) is None
    assert misfit(both, OllamaSettings(memory_limit_mib=1300, max_loaded_models=2), Room(8 * GIB)) is not None


LARGE, MIDDLE = "large:12b", "middle:4b"
BOTH = {LARGE: 8 << 30, MIDDLE: 3 << 30}
# chat: 8 GiB of weights, 3 GiB, 240 MiB; sum: 3 GiB or nothing
ROLES = {
    "chat": {"model": LARGE, "fallback": [MIDDLE, MODEL]},
    "sum": {"model": MIDDLE},
}


@pytest.mark.parametrize(
    ("gib", "loaded", "chat", "fits"),
    [
        (16, 1, LARGE, True),
        (16, 2, LARGE, True),
        (10, 1, LARGE, True),
        (10, 2, MIDDLE, True),  # which then is one model for two roles
        (8, 1, MIDDLE, True),
        (3, 1, MIDDLE, False),  # sum has nothing smaller
    ],
)
def test_a_model_that_does_not_fit_gives_way_to_its_fallback(
    gib: int, loaded: int, chat: str, fits: bool
) -> None:
    wanted = with_models(ROLES, **BOTH)
    settings = OllamaSettings(memory_limit_mib=1 << 20, max_loaded_models=loaded)
    choice = choose(wanted, ALL, settings, Room(gib * GIB))
    assert (choice.misfit is None) is fits
    if fits:
        assert choice.answers == {"chat": chat, "sum": MIDDLE}


def test_the_last_fallback_that_does_not_fit_is_refused_by_name() -> None:
    wanted = with_models({"chat": ROLES["chat"]}, **BOTH)
    settings = OllamaSettings(memory_limit_mib=1 << 20)
    assert choose(wanted, ALL, settings, Room(2 * GIB)).answers == {"chat": MODEL}
    refused = choose(wanted, ALL, settings, Room(GIB)).misfit
    assert refused is not None
    assert refused.what.startswith(f"{MODEL} (chat, in place of {LARGE}) needs 1220 MiB of memory (")


def test_gpus_choose_by_their_own_memory() -> None:
    wanted = with_models({"chat": ROLES["chat"]}, **BOTH)
    settings = OllamaSettings(memory_limit_mib=1 << 20)
    host = Room(64 * GIB, (6 * GIB,))
    assert choose(wanted, ALL, settings, host).answers == {"chat": MIDDLE}
    assert choose(wanted, ALL, settings, replace(host, gpus=())).answers == {"chat": LARGE}
    assert choose(wanted, ALL, settings, replace(host, gpus=(6 * GIB, 6 * GIB))).answers == {"chat": LARGE}


def test_a_host_has_the_models_that_answer_and_those_that_no_role_asks_for() -> None:
    wanted = with_models({"chat": {"model": LARGE, "fallback": [MIDDLE]}}, **BOTH)
    assert list(placed_models(wanted, ALL, {"chat": LARGE})) == [LARGE, MODEL]
    assert list(placed_models(wanted, ALL, {"chat": MIDDLE})) == [MIDDLE, MODEL]
    assert role_tags({"chat": MIDDLE, "sum": MIDDLE}, MIDDLE) == ("chat:latest", "sum:latest")
    assert role_tags({"chat": MIDDLE}, LARGE) == ()


def _on_gpu_host(said: str, wanted: Lock | None = None, **settings: Any) -> list[str]:
    probed = parse_probe(
        "h1", GOOD.replace("end=", "".join(f"gpu={line}\n" for line in said.splitlines()) + "end=")
    )
    return _checked(probed, wanted or lock(), frozenset({"gpu"}), 0, **settings)


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


def test_a_shell_that_speaks_first_is_named_with_what_it_says() -> None:
    assert list(shell_problems("h1", GOOD)) == []
    (told,) = shell_problems("h1", f"Welcome to \x1b[1mh1\n{GOOD}")
    assert told.startswith("h1: its shell prints 'Welcome to ?[1mh1' before any answer, expected nothing")
    assert "~/.bashrc" in told


def test_copies_of_a_disk_are_told_with_each_other_s_names() -> None:
    other = replace(HOST, own=frozenset({"machine-id 4567", "SSH-key AAAAC3Nw"}))
    assert twins({"h1": HOST, "h2": other}) == {}
    copy = replace(other, own=frozenset({"machine-id 0123", "SSH-key AAAAC3Nw"}))
    found = {host: str(problem) for host, problem in twins({"h1": HOST, "h2": copy, "h3": other}).items()}
    assert found["h1"].startswith("h1: has the same machine-id as h2, expected one of its own: ")
    assert found["h2"].startswith("h2: has the same SSH-key and machine-id as h1, h3, expected one")
    assert found["h3"].endswith("run: rm /etc/ssh/ssh_host_* && ssh-keygen -A; then reboot it.")


def test_one_machine_under_two_names_is_told() -> None:
    assert sorted(twins({"h1": HOST, "h2": HOST})) == ["h1", "h2"]


def test_a_clock_that_is_a_year_off_is_asked_for_and_told(tmp_path: Path) -> None:
    """apt would say `Release file is not valid yet`, in the middle of a rollout."""
    (tmp_path / "date").write_text("#!/bin/sh\nexec /bin/date -d '1 year ago' \"$@\"\n")
    (tmp_path / "date").chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["sh", "-c", probe(site_settings())]
    said = subprocess.run(command, env=path, capture_output=True, text=True, check=True).stdout
    clock = parse_probe("h1", said).clock
    now = replace(HOST, clock=clock - int(datetime.now(UTC).timestamp() - NOW.timestamp()))
    (problem,) = problems(now)
    assert re.match(r"h1: its clock is 315\d{5} s behind, expected at most 300 s", problem)
