"""What drifts on a host is told by status, and mended by the next apply: the same things by both."""

from __future__ import annotations

import json
import re
import shlex
import time

import pytest

from tests.lab.commands import Commands
from tests.lab.conftest import Site

STORE = "/var/lib/sealift"
BLOBS = f"{STORE}/blobs/sha256"
LIBRARY = f"{STORE}/models/manifests/registry.ollama.ai/library"
MODEL_BLOB = f"$(find {STORE}/models/blobs -type f -size +100M | head -n 1)"
A_PACKAGE = f"$(readlink {STORE}/repositories/*/pool/iptables_*.deb)"
ANOTHER_PACKAGE = f"$(readlink {STORE}/repositories/*/pool/docker-cli_*.deb)"
LICENCE = "/usr/local/share/doc/ollama/LICENSE"
ENVOY = "localhost/sealift/envoy:1.40.0"
COMPOSE = f"{STORE}/current/ollama/compose.yaml"
SOURCE = "/etc/apt/sources.list.d/sealift.sources"
RECONFIGURED = "service gateway runs with another configuration"
FOREIGN = 'services: {x: {image: "localhost/sealift/ollama:0.11.4", pull_policy: never}}'

ENVOY_LAYER = f"$(find {BLOBS} -type f -size +100M -size -200M | head -n 1)"
DAMAGED = "sealift/envoy:1.40.0 is damaged"
# Holds dpkg's lock for as long as a file is there, as another apt would. perl is in every Debian.
HOLD = """\
use Fcntl; open(my $file, ">>", "/var/lib/dpkg/lock-frontend");
my $lock = pack("s! s! x4 q q i x4", F_WRLCK, 0, 0, 0, 0); fcntl($file, F_SETLK, $lock) or die;
sleep 1 while -e "/root/busy";
"""

# What is done to h2, and what status must say of it.
IN_FORCE = {  # in the generation that is in force
    f"echo '# edited' >> {COMPOSE}": "configuration ollama/compose.yaml differs",
    f"chmod 644 {STORE}/current/gateway/live/tls.yaml": "configuration gateway/live/tls.yaml differs",
}
ELSEWHERE = {
    f"echo '# edited' >> {STORE}/live/gateway/keys.yaml": "live file gateway/keys.yaml differs",
    f"echo altered > {LICENCE}; chmod 666 {LICENCE}": "file ollama-licence altered",
    f"echo old > /opt/old-tool; echo /opt/old-tool >> {STORE}/files": "file /opt/old-tool is too much",
    "dpkg --remove docker-compose": "package docker-compose missing",
    f"echo x >> {SOURCE}": f"{SOURCE} altered",
    "rm /etc/apt/keyrings/sealift.asc": "/etc/apt/keyrings/sealift.asc missing",
    f"rm {STORE}/repositories/*/Packages": "/Packages missing",
    f"rm {MODEL_BLOB}": "model gemma3:270m altered",
    f"cp {LIBRARY}/chat/latest {LIBRARY}/classify/latest": "role classify altered",
    f"mkdir {LIBRARY}/foreign; echo {{}} > {LIBRARY}/foreign/latest": "model foreign/latest is too much",
    f"echo x > {STORE}/models/blobs/sha256-foreign": "files of no model in Ollama's store",
    f"chmod 777 {STORE}/models {BLOBS}": f"{STORE}/models has mode 777, expected 755",
    f"chown 1000 {LIBRARY}/chat/latest": f"{LIBRARY}/chat/latest belongs to 1000:0, expected 0:0",
    f"chown 0:0 {STORE}/metrics": f"{STORE}/metrics belongs to 0:0, expected 65530:65530",
    f"touch {STORE}/metrics/fleet.prom": f"{STORE}/metrics/fleet.prom is of a service that is gone",
    f"printf X | dd of={ENVOY_LAYER} bs=1 seek=1000000 conv=notrunc status=none; "
    f"touch -d @1 {ENVOY_LAYER}": DAMAGED,
    f"rm {A_PACKAGE}": "1 blobs missing in the host store",
    f"touch {ANOTHER_PACKAGE}": "1 blobs of the host store were touched",
    "mkdir -p /etc/cdi; echo x > /etc/cdi/sealift-stand-in.yaml": "sealift-stand-in.yaml is too much",
    "echo '{}' > /etc/docker/daemon.json": "/etc/docker/daemon.json altered",
    "echo '# edited' >> /etc/containerd/config.toml": "/etc/containerd/config.toml altered",
    "systemctl -q disable docker.service": "docker.service does not start at boot",
}
IMAGE_GONE = {
    f"docker rmi -f {ENVOY}": f"image {ENVOY} missing",
    "docker stop $(docker ps -q --filter name=sealift-gateway)": "service gateway exited",
    "docker stop $(docker ps -q --filter name=sealift-budgets)": "service budgets exited",
}
BY_HAND = {
    f"cd {STORE}/current/gateway && sed -i s/unless-stopped/always/ compose.yaml && "
    "docker compose up -d --wait && sed -i s/always/unless-stopped/ compose.yaml": RECONFIGURED,
    f"cd $(mktemp -d) && printf '{FOREIGN}' >compose.yaml && "
    "docker compose -p sealift-old up -d": "service sealift-old is too much",
}
SHUT_OFF = {"iptables -F": "service gateway is shut off"}
NOTHING_IN_FORCE = {f"ln -sfn generations/none {STORE}/current": "generation none, expected"}
# All of a round are done at once, so each pair that can be is there: a gateway cannot be both stopped and
# shut off, and where no generation is in force, nothing can be wrong in it.
ROUNDS: dict[str, dict[str, str]] = {
    "and an image is gone": {**IN_FORCE, **ELSEWHERE, **IMAGE_GONE},
    "and somebody worked by hand": {**BY_HAND, **SHUT_OFF, **IN_FORCE, **ELSEWHERE},
    "and nothing is in force": {**BY_HAND, **ELSEWHERE, **NOTHING_IN_FORCE},
    "the firewall alone": SHUT_OFF,
}


def differs(commands: Commands, *options: str) -> dict[str, list[str]]:
    """What status says, by host."""
    said = commands.run("sealift", "status", "lab", "--json", *options).out
    return {host["host"]: host["differs"] for host in json.loads(said)}


@pytest.mark.parametrize(
    "drift",
    [
        "and somebody worked by hand",
        pytest.param("and an image is gone", marks=pytest.mark.exhaustive),
        pytest.param("and nothing is in force", marks=pytest.mark.exhaustive),
        pytest.param("the firewall alone", marks=pytest.mark.exhaustive),
    ],
)
def test_status_tells_what_apply_mends(site: Site, commands: Commands, drift: str) -> None:
    options = ("--check-blobs",) if DAMAGED in ROUNDS[drift].values() else ()
    assert differs(commands) == {"h1": [], "h2": [], "h3": []}
    for damage in ROUNDS[drift]:
        commands.on("h2", damage)
    told = differs(commands, *options)
    assert told["h1"] == told["h3"] == []
    untold = [said for said in ROUNDS[drift].values() if not any(said in line for line in told["h2"])]
    assert untold == [], told["h2"]
    plan = json.loads(commands.ok("sealift", "apply", "lab", "--dry-run", "--json", *options).out)["h2"]
    assert set(told["h2"]) <= set(plan["differs"])
    assert "PRIVATE KEY" not in str(plan["diffs"]) and commands.api_key() not in str(plan["diffs"])
    commands.ok("sealift", "apply", "lab", *options)
    assert differs(commands, *options) == {"h1": [], "h2": [], "h3": []}
    assert commands.changed_operations() == {"h1": [], "h2": [], "h3": []}


def test_another_apt_is_waited_for_and_that_is_said(site: Site, commands: Commands) -> None:
    commands.on("h2", f"dpkg --remove docker-compose; printf %s {shlex.quote(HOLD)} >/root/hold.pl")
    commands.on("h2", "touch /root/busy; systemd-run -q --unit=other-apt perl /root/hold.pl")
    commands.on("h2", "systemd-run -q --on-active=20 --timer-property=AccuracySec=1s rm /root/busy")
    said = commands.ok("sealift", "apply", "lab", "--limit", "h2").err
    assert re.search(
        r"h2: waits for process \d+ \(perl\), which holds \S+/lock-frontend, for 600 s at most", said
    )
    assert "h2: goes on after " in said


def test_one_damage_is_mended_by_one_operation(site: Site, commands: Commands) -> None:
    commands.on("h2", f"chmod 666 {LICENCE}")
    changed = commands.changed_operations()
    assert changed == {"h1": [], "h2": ["Files | Place file ollama-licence"], "h3": []}


def test_damaged_weights_are_shipped_again_and_loaded_anew(site: Site, commands: Commands) -> None:
    commands.ok("sealift", "ask", "lab", "chat", "Say something.", "--limit", "h2")  # the model is loaded now
    commands.on("h2", f"printf X | dd of={MODEL_BLOB} bs=1 seek=1000000 conv=notrunc status=none")
    (told,) = [line for line in differs(commands)["h2"] if line.startswith("1 blobs of the host store")]
    assert told == "1 blobs of the host store were touched"
    changed = commands.changed_operations()
    assert changed["h1"] == [] and changed["h3"] == []
    assert "Models | Load repaired models anew in ollama" in changed["h2"]
    commands.ok("sealift", "ask", "lab", "chat", "Say something.", "--limit", "h2")
    assert commands.changed_operations()["h2"] == []


KILLER = "while :; do for each in $(pgrep -f '[o]llama runner'); do kill -ILL $each; done; sleep 0.2; done"


@pytest.mark.exhaustive
def test_a_model_whose_runner_dies_is_told_within_a_minute_until_it_answers(
    site: Site, commands: Commands
) -> None:
    """As where memory runs out, or a processor lacks an instruction: Ollama itself goes on."""

    def told_within(seconds: float, wanted: bool) -> list[str]:
        end = time.monotonic() + seconds
        while True:
            told = [
                line for line in differs(commands)["h2"] if line.startswith("role chat does not answer: ")
            ]
            if bool(told) == wanted:
                return told
            assert time.monotonic() < end, told

    commands.on("h2", f"systemd-run -q --unit=killer sh -c {shlex.quote(KILLER.replace('$', '$$'))}")
    try:
        (told,) = told_within(60, wanted=True)
        assert "llama runner process has terminated" in told
    finally:
        commands.on("h2", "systemctl stop killer")
    told_within(60, wanted=False)
    commands.ok("sealift", "ask", "lab", "chat", "Say something.", "--limit", "h2")
