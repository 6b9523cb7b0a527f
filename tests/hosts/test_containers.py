"""The services of a host, as they run."""

from __future__ import annotations

import json

from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from tests.hosts.commands import output
from tests.hosts.containers import Inspected, find_container
from tests.hosts.properties import RecordProperty

SECOND = 10**9  # Docker counts nanoseconds
MIB = 2**20


def test_runs_and_is_healthy(container: Inspected) -> None:
    """The service runs and its health check passes."""
    assert container["State"]["Status"] == "running"
    assert container["State"]["Health"]["Status"] == "healthy"


def test_image_is_the_locks(container: Inspected, service: str, expected: Expectations) -> None:
    """The service runs the image that the lock pins, by its ID."""
    assert container["Image"] == expected.services[service].image_id


def test_image_name_means_the_locks_image(host: Host, service: str, expected: Expectations) -> None:
    """The name of the service's image stands for the image ID of the lock."""
    wanted = expected.services[service]
    assert output(host, "docker image inspect --format {{.Id}} %s", wanted.image) == wanted.image_id


def test_nothing_else_runs(host: Host, expected: Expectations) -> None:
    """Docker runs a container for each service of the release, and no other."""
    running = output(host, "docker ps --format '{{.Label \"com.docker.compose.project\"}}'").split()
    assert sorted(running) == sorted(f"sealift-{service}" for service in expected.services)


def test_health_is_checked_every_30_seconds(container: Inspected) -> None:
    """Docker checks the service's health every 30 seconds."""
    assert container["Config"]["Healthcheck"]["Interval"] == 30 * SECOND


def test_restarts_by_itself(container: Inspected) -> None:
    """Docker starts the service again when it ends, and after a reboot."""
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


def test_has_no_power_over_the_host(container: Inspected) -> None:
    """The service runs without privileges, capabilities or a writable file system of its own."""
    settings = container["HostConfig"]
    assert not settings["Privileged"]
    assert not settings["CapAdd"]
    assert settings["CapDrop"] == ["ALL"]
    assert settings["ReadonlyRootfs"]
    assert settings["NetworkMode"] != "host"


def test_ollama_memory_is_limited(
    host: Host, expected: Expectations, record_property: RecordProperty
) -> None:
    """Ollama's memory limit is the inventory's; where the kernel has no memory controller, on paper only."""
    limit = expected.ollama.memory_limit_mib * MIB
    container = find_container(host, "ollama")
    files = container["Config"]["Labels"]["com.docker.compose.project.config_files"]
    written = json.loads(output(host, "docker compose --file %s config --format json", files))
    assert int(written["services"]["ollama"]["mem_limit"]) == limit
    if output(host, "docker info --format {{.MemoryLimit}}") == "true":
        assert container["HostConfig"]["Memory"] == limit
        record_property("memory limit", f"{limit // MIB} MiB, enforced")
    else:
        record_property("memory limit", f"{limit // MIB} MiB, not enforced: no memory controller here")


def test_ollama_has_no_way_out(host: Host) -> None:
    """Ollama's container is in internal networks only: it reaches nothing outside the host."""
    networks = find_container(host, "ollama")["NetworkSettings"]["Networks"]
    inspected = json.loads(output(host, f"docker network inspect {' '.join(sorted(networks))}"))
    open_networks = [network["Name"] for network in inspected if not network["Internal"]]
    assert not open_networks


def test_ollama_settings_are_the_inventorys(host: Host, expected: Expectations) -> None:
    """Ollama runs with the settings of the inventory, and without its vendor's cloud."""
    environment = dict(entry.split("=", 1) for entry in find_container(host, "ollama")["Config"]["Env"])
    settings = expected.ollama
    promised = {
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_KEEP_ALIVE": settings.keep_alive,
        "OLLAMA_NUM_PARALLEL": str(settings.num_parallel),
        "OLLAMA_MAX_LOADED_MODELS": str(settings.max_loaded_models),
        "OLLAMA_MAX_QUEUE": str(settings.max_queue),
        "OLLAMA_CONTEXT_LENGTH": str(settings.context_length),
        "OLLAMA_KV_CACHE_TYPE": settings.kv_cache_type,
    }
    assert {name: environment.get(name) for name in promised} == promised
