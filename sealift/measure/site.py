"""A site's hosts, measured one after another: what runs there, which roles, as which client."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.fleet.status import Standing, parse_status, status_script
from sealift.fleet.survey import Target
from sealift.measure.bandwidth import Bandwidth, bandwidth_of
from sealift.measure.run import Found, Run, Subject, Wanted
from sealift.release.roles import Answers, names_of
from sealift.site.secrets import open_secrets
from sealift.ssh import on_all


@dataclass(frozen=True)
class Ready:
    """What is measured, in this order.

    + client: who asks
    """

    subjects: tuple[Subject, ...]
    client: str
    release: str
    bundle: str


def ready(found: Sequence[Target], roles: Sequence[str], client: str | None) -> Ready:
    """Ask all hosts what they are.

    + roles: that are measured; all where empty
    + client: who asks; the one that `ask` takes where none is named

    Raises SealiftError where a host does not run its release, and where there is nothing to measure.
    """
    first = found[0]
    others = sorted({target.release for target in found if target.stored.digest != first.stored.digest})
    if others:
        raise SealiftError(
            f"the hosts are to run several releases ({', '.join([first.release, *others])}), expected one "
            "in a run. Name hosts: --limit."
        )
    targets = {target.host.name: target for target in found}
    standing = on_all(list(targets), lambda name: _standing(targets[name])).all()
    secrets = open_secrets(first.host.settings.secrets, first.host.settings.identity)
    day = datetime.now(UTC).date()
    name = client or secrets.first_client(day)
    key = secrets.key_of(name, day)
    served = {host: secrets.roles_of(name, standing[host].roles) for host in targets}
    asked = [(host, role) for host in targets for role in served[host] if not roles or role in roles]
    if not asked:
        known = ", ".join(sorted({role for each in served.values() for role in each})) or "none"
        raise SealiftError(
            f"{', '.join(roles) or 'nothing'}: no host here serves that to client {name}, expected one of "
            f"its roles: {known}."
        )
    subjects = (_subject(targets[host], role, standing[host].roles, key) for host, role in asked)
    return Ready(tuple(subjects), name, first.release, first.stored.digest)


def _subject(target: Target, role: str, answers: Answers, key: SecretStr) -> Subject:
    model = answers[role]
    names = (tag for named in names_of(target.stored.lock, model, answers) for tag in named.tags)
    return Subject(target, role, model, key, tuple(names))


def _standing(target: Target) -> Standing:
    """What stands on a host.

    Raises SealiftError where that is another release than the inventory's, or its roles are not that one's.
    """
    host = target.host
    standing = parse_status(host.name, host.ssh.run_long(status_script(host.settings)))
    if standing.bundle != target.stored.digest:
        raise SealiftError(
            f"{host.name}: runs {standing.release or 'no release'} of {str(standing.bundle)[:19]}, expected "
            f"{target.release} of {target.stored.digest[:19]}. Apply it first, or leave the host "
            "out: --exclude."
        )
    known = target.stored.lock.release.roles
    foreign = [
        role
        for role, model in standing.roles.items()
        if role not in known or model not in known[role].candidates
    ]
    if foreign:
        raise SealiftError(
            f"{host.name}: serves {', '.join(foreign)} as {target.release} does not, expected its roles and "
            "models. Apply it again."
        )
    return standing


def measure(
    wanted: Wanted, of: Ready, tell: Callable[[str], None], warn: Callable[[str], None]
) -> Iterator[Found]:
    """Measure host after host, so that none takes from another what both run on; gives each result at once.

    + tell: takes what is done now
    + warn: takes what cannot be measured
    """
    run = Run(wanted, tell)
    for host, subjects in groupby(of.subjects, key=lambda subject: subject.target.host):
        bandwidth: Bandwidth | None = None
        tell(f"{host.name}: how fast its memory is")
        try:
            bandwidth = bandwidth_of(host)
        except SealiftError as error:
            warn(str(error))
        for subject in subjects:
            try:
                yield from run.measure(subject, bandwidth)
            except SealiftError as error:
                warn(str(error))
