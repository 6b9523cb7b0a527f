"""What drifts on a host is noticed and repaired by the next run of deploy.py, and only that."""

from __future__ import annotations

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site

OLLAMA = "label=com.docker.compose.project=sealift-ollama"
MODEL_BLOB = "$(find /var/lib/sealift/models/blobs -type f -size +100M | head -n 1)"

# what is done to h2, the one operation that must change something, how the effect is seen afterwards
DRIFT: dict[str, tuple[str, str, str]] = {
    "stopped container": (
        f"docker stop $(docker ps -q --filter {OLLAMA})",
        "Services | Run ollama",
        "docker ps --filter name=sealift-ollama --filter health=healthy | grep Up",
    ),
    "deleted model blob": (
        f"rm {MODEL_BLOB}",
        "Models | Place model gemma3:270m",
        f"cd /var/lib/sealift/models/blobs && b={MODEL_BLOB} && "
        'echo "$(basename $b | cut -d- -f2)  $b" | sha256sum -c',
    ),
    "edited compose.yaml": (
        "echo '# edited' >> /var/lib/sealift/current/ollama/compose.yaml",
        "Generation | Place the generation",
        "! grep -q edited /var/lib/sealift/current/ollama/compose.yaml",
    ),
    "altered file": (
        "echo altered > /usr/local/share/doc/ollama/LICENSE",
        "Files | Place file ollama-licence",
        "grep -q 'MIT License' /usr/local/share/doc/ollama/LICENSE",
    ),
    "file made writable for everybody": (
        "chmod 666 /usr/local/share/doc/ollama/LICENSE",
        "Files | Place file ollama-licence",
        "test $(stat -c %a /usr/local/share/doc/ollama/LICENSE) = 644",
    ),
    "removed package": (
        "DEBIAN_FRONTEND=noninteractive apt-get remove -y -qq docker-compose",
        "OS packages | Install the release's packages",
        "docker compose version",
    ),
}


@pytest.mark.parametrize("drift", DRIFT)
def test_drift_is_repaired_and_only_that(site: Site, commands: Commands, drift: str) -> None:
    damage, operation, effect = DRIFT[drift]
    commands.on("h2", damage)
    assert commands.changed_operations() == {"h1": [], "h2": [operation], "h3": []}
    commands.on("h2", effect)
    assert commands.changed_operations() == {"h1": [], "h2": [], "h3": []}


def test_a_corrupted_blob_is_found_and_shipped_again(site: Site, commands: Commands) -> None:
    commands.on("h2", f"printf X | dd of={MODEL_BLOB} bs=1 seek=1000000 conv=notrunc status=none")
    changed = commands.changed_operations()
    assert changed["h1"] == [] and changed["h3"] == []
    assert changed["h2"] != []
    commands.ok("sealift", "verify", "lab", "--limit", "h2")
    assert commands.changed_operations()["h2"] == []
