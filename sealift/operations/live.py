"""Live files on hosts: a service that runs reads each anew once it is renamed into its place.

They are a copy of those of the current generation. That comes first, so whatever ends a run between the two,
the next one sees that they differ.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import StringCommand, operation

from sealift.facts.generation import LIVE_FOLDER, GenerationFiles, expected_live
from sealift.facts.live import LiveVersions, asking
from sealift.host.record import PLACE, RESTORE
from sealift.host.wanted import Wanted
from sealift.host_paths import ARMED, CURRENT, LIVE, PREVIOUS, ROOT, UNCONFIRMED
from sealift.service import Service
from sealift.services import KEYS

Commands = Generator[StringCommand, None, None]
_PATIENCE_S = 10  # Envoy takes a file within a few hundredths of a second


@operation()
def live_files_placed(wanted: Wanted) -> Commands:
    """Have the live files of all services be those of the current generation.

    + wanted: whose generation is active
    """
    if host.get_fact(GenerationFiles, generation=LIVE_FOLDER) != expected_live(wanted):
        yield StringCommand(f"set -eu\n{PLACE}\nplace_live {CURRENT} {LIVE}")


@operation()
def live_files_taken(wanted: Wanted, service: Service) -> Commands:
    """Have a running service go by its live files; a host where it does not goes back to what it was before.

    + wanted: whose generation is active
    """
    versions = wanted.generation.versions(service)
    if host.get_fact(LiveVersions, service=service) == versions:
        return
    refused = (
        f"{service.name} goes by other files than it was given. Look at its log on the host: "
        f"docker logs {service.project}-{service.name}-1"
    )
    back = go_back(f"{service.name} has not taken its configuration")
    # renamed once more, for a service that has missed it
    yield StringCommand(
        f"{PLACE}\nplace_live {CURRENT} {LIVE}\n{taking(service, versions)}\n"
        f"wait_taken || {{ echo {shlex.quote(refused)} >&2; {back}; exit 1; }}"
    )


def taking(service: Service, versions: Mapping[str, str]) -> str:
    """Functions of sh(1): `wait_taken` ends with 0 once a service says these versions; `uptime_s` is a clock.

    Else it ends with 1 where it goes by others, and with 2 where it does not answer.

    + versions: by the service's names for them
    """
    wanted = " ".join(shlex.quote(f'{name}: "{version}"') for name, version in sorted(versions.items()))
    return f"""\
uptime_s() {{ # which nobody sets; proc_uptime(5)
    read -r up _ </proc/uptime
    echo "${{up%.*}}"
}}
taken() {{
    said=$({asking(service)})
    [ -n "$said" ] || return 2
    for version in {wanted}; do
        case $said in *"$version"*) ;; *) return 1 ;; esac
    done
}}
wait_taken() {{
    end=$(($(uptime_s) + {_PATIENCE_S}))
    until taken; do
        answer=$?
        [ "$(uptime_s)" -lt "$end" ] || return "$answer"
        sleep 0.1
    done
}}"""


def go_back(why: str) -> str:
    """Lines of sh(1) by which a host whose generation has not proved itself goes back to the last good one.

    One of an older sealift has no script of its own for that: then its configuration and services come back.
    The clients' keys stay as they are: one that was revoked meanwhile does not come back.

    + why: told before
    """
    told = shlex.quote(f"{why}: this host went back to the generation that was active before")
    return (
        f"if [ ! -e {PREVIOUS} ] || {{ [ ! -e {UNCONFIRMED} ] && [ ! -e {ARMED} ]; }}; then :; "
        f"elif [ -f {PREVIOUS}/{RESTORE} ]; then sh {PREVIOUS}/{RESTORE} >&2 && echo {told} >&2; else "
        f'for new in {CURRENT}/*/live/{KEYS}; do old={PREVIOUS}/${{new#{CURRENT}/}}; if [ -e "$old" ]; then '
        'cp -p "$new" "$old.new" && sync "$old.new" && mv -T "$old.new" "$old"; fi; done; '
        f"mv -T {PREVIOUS} {CURRENT}; rm -f {UNCONFIRMED}; sync {ROOT}; "
        f"{PLACE}\nplace_live {CURRENT} {LIVE}; "
        f"for file in {CURRENT}/*/compose.yaml; do docker compose --file $file up --detach --wait >&2; done; "
        f"echo {told} >&2; fi"
    )
