"""The daemons of Docker and their configuration."""

from __future__ import annotations

import hashlib

from pyinfra import host
from pyinfra.api import operation

from sealift.facts.docker import CONTAINERD_TOML, DAEMON_JSON, Daemon, DockerRules, shut_ports
from sealift.facts.nvidia import MergedDaemonJson
from sealift.facts.text import TextFile
from sealift.host.daemon_json import daemon_json, daemon_json_mode, for_toolkit, merged_daemon_json
from sealift.host.settings import DockerSettings
from sealift.host_paths import CURRENT, ROOT, WRITTEN
from sealift.operations.refusal import refusal
from sealift.operations.text import Commands, put_text


@operation()
def containerd_configured(content: str) -> Commands:
    """Have containerd's config.toml hold this.

    + content: TOML
    """
    digest = hashlib.sha256(content.encode()).hexdigest()
    if host.get_fact(TextFile, path=CONTAINERD_TOML) != (digest, "644"):
        yield recorded(digest)
        yield from put_text(CONTAINERD_TOML, content)


@operation()
def daemon_configured(docker: DockerSettings, nvidia: bool) -> Commands:
    """Have daemon.json hold what the site says, judged by dockerd itself before it takes its place.

    + nvidia: whether what `nvidia-ctk runtime configure` adds to it belongs in it too
    """
    merged = host.get_fact(MergedDaemonJson, base=for_toolkit(docker)) if nvidia else None
    if nvidia and merged is None and host.state.is_executing:
        yield refusal(
            "nvidia-ctk cannot configure Docker, expected nvidia-container-toolkit-base to be installed. Name"
            " it in the release file below packages.gpu."
        )
        return
    # while pyinfra prepares, the toolkit may only be about to be installed
    content = merged_daemon_json(merged, docker) if merged else daemon_json(docker)
    digest, mode = hashlib.sha256(content.encode()).hexdigest(), daemon_json_mode(docker)
    if host.get_fact(TextFile, path=DAEMON_JSON) != (digest, mode):
        yield keep_before(DAEMON_JSON)
        # dockerd resolves links in the way to a folder that is there, and runc refuses to go by any
        yield f"mkdir -p {docker.data}"
        yield recorded(digest)
        yield from put_text(DAEMON_JSON, content, mode, check="dockerd --validate --config-file={file}")


@operation()
def ports_open(ports: tuple[int, ...]) -> Commands:
    """Have Docker's rules let the network in to what services publish.

    Another tool may have flushed them (`iptables -F`). Docker writes them when it starts; containers go on.

    + ports: TCP, in the containers
    """
    if shut_ports(host.get_fact(DockerRules), ports):
        yield (
            "systemctl reset-failed docker.service && systemctl restart docker.service && "
            f"for file in {CURRENT}/*/compose.yaml; do docker compose --file $file up --detach --wait; done"
        )


def recorded(digest: str) -> str:
    """A command that records a configuration as ours before it takes its place.

    JSON has no comment to say so, and an older one is still ours when a run was killed between the two.
    """
    return f"umask 022 && mkdir -p {ROOT} && echo {digest} >> {WRITTEN} && sync {WRITTEN}"


def keep_before(path: str) -> str:
    """A command that keeps what a host had before sealift came, beside it and once."""
    kept = f"{path}.before-sealift"
    return f"if [ -f {path} ] && [ ! -e {kept} ] && [ ! -e {CURRENT} ]; then cp -p {path} {kept}; fi"


@operation()
def daemon_running(unit: str, configuration: str) -> Commands:
    """Have a daemon start at boot, and one that runs with its configuration as it is now.

    The daemon that runs is asked, not whether this run changed the file: a restart that failed, or never
    came about because a run was killed, is made up for by the next run.

    + unit: systemd's name of it
    + configuration: the file that it reads when it starts
    """
    daemon = host.get_fact(Daemon, unit=unit, configuration=configuration)
    if not daemon.enabled:
        yield f"systemctl enable {unit}"
    if not daemon.runs_its_configuration:
        # Without reset-failed, systemd refuses to start a service that has failed too often.
        yield f"systemctl reset-failed {unit} && systemctl restart {unit}"
