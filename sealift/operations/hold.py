"""Requests held at a host's gateway while what answers them is replaced: they wait there, and none fails.

The gateway's clusters point at a port that refuses. What is in work goes on to its end on its old connection,
and what comes is tried again until the clusters point back (templates/gateway/live/listener.yaml.j2).
"""

from __future__ import annotations

from dataclasses import dataclass

from sealift.facts.live import asking
from sealift.host.settings import GatewaySettings
from sealift.host_paths import CURRENT, LIVE
from sealift.operations.live import taking
from sealift.services import CLUSTERS, GATEWAY, asking_envoy

HELD = "held"  # the version of clusters that point nowhere
_LIVE = f"{LIVE}/{GATEWAY.name}"
_OWN = f"{CURRENT}/{GATEWAY.name}/live/{CLUSTERS}"
_TO = f"{_LIVE}/{CLUSTERS}"
_VERSION = "cluster_manager.cds.version_text"
_ACTIVE = asking_envoy("/stats?filter=^cluster.*upstream_rq_(pending_)?active")
_UNIT = "/etc/systemd/system/sealift-unhold.service"
_WANTED = "/etc/systemd/system/multi-user.target.wants/sealift-unhold.service"
_TIMER = "sealift-unhold.timer"
_MORE_S = 120  # beyond the wait for answers; most services are healthy by then
# Nothing listens there: IANA's tcpmux, which nobody runs, in the gateway's container.
NOWHERE = "{address: 127.0.0.1, port_value: 1}"
AWAY = f"s/^version_info: .*/version_info: {HELD}/; s/{{address: [^,]*, port_value: [0-9]*}}/{NOWHERE}/"


@dataclass(frozen=True)
class Hold:
    """How requests are held.

    + finish_s: seconds that answers in flight may go on for
    """

    finish_s: int


def hold_of(gateway: GatewaySettings) -> Hold | None:
    """How a site's gateways hold requests; None where they do not."""
    return Hold(gateway.finish_s) if gateway.hold_s else None


def held(hold: Hold | None, commands: str) -> str:
    """The same lines of sh(1), run while the gateway holds requests.

    However they end, the gateway lets requests through again; after a power cut, once the host is up; where
    they were killed, when a timer says so. It may come too early: what finds no Ollama waits all the same.

    + hold: None where requests are not held
    + commands: may end the shell
    """
    if hold is None:
        return commands
    point_back = f"cp -p {_OWN} {_LIVE}/.new && mv -T {_LIVE}/.new {_TO} && rm -f {_UNIT} {_WANTED}"
    unit = "\\n".join(
        (
            "[Unit]",
            "Description=Let requests through that sealift held when it was cut off",
            "After=local-fs.target",
            "Before=docker.service",
            "[Service]",
            "Type=oneshot",
            f'ExecStart=/bin/sh -c "{point_back}"',
        )
    )
    running = f"docker ps --quiet --filter label=com.docker.compose.project={GATEWAY.project}"
    return f"""\
{taking(GATEWAY, {_VERSION: HELD})}
active() {{
    {asking(GATEWAY, _ACTIVE)} | grep -v '^cluster\\.\\(all_clients\\|own_figures\\)\\.' | grep -c ': [1-9]'
}}
if [ -n "$({running})" ] && [ -e {_OWN} ] && [ -e {_TO} ]; then
    trap '{point_back}; systemctl stop --quiet {_TIMER} 2>/dev/null' EXIT
    trap 'exit 1' HUP INT PIPE TERM
    mkdir -p {_WANTED.rpartition("/")[0]}
    printf '{unit}\\n' >{_UNIT}.new && sync {_UNIT}.new && mv -T {_UNIT}.new {_UNIT}
    ln -sfn {_UNIT} {_WANTED} && sync {_WANTED.rpartition("/")[0]}
    if systemctl is-active --quiet {_TIMER}; then systemctl stop {_TIMER}; fi
    systemd-run --quiet --on-active={hold.finish_s + _MORE_S} --unit={_TIMER.removesuffix(".timer")}
    cp -p {_OWN} {_LIVE}/.new && sed '{AWAY}' {_OWN} >{_LIVE}/.new && mv -T {_LIVE}/.new {_TO}
    wait_taken
    end=$(($(uptime_s) + {hold.finish_s}))
    until [ "$(active)" = 0 ] || [ "$(uptime_s)" -ge "$end" ]; do sleep 0.2; done
fi
{commands}"""
