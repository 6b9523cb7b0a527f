"""Golden questions, asked on hosts through their gateways as an application would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from sealift.errors import SealiftError, one_line
from sealift.evidence.record import lasting_folder
from sealift.fleet.gateway import send
from sealift.fleet.status import HostStanding
from sealift.fleet.survey import Target
from sealift.quality.judge import judged
from sealift.quality.results import Answer
from sealift.release.questions import Golden, identity
from sealift.release.role import Role
from sealift.site.inventory import Host, Inventory
from sealift.site.secrets import open_secrets
from sealift.threads import at_once


def golden_of(target: Target, role: str | None) -> tuple[tuple[str, Golden], ...]:
    """The golden questions of the roles that a host serves, each with its role.

    + role: of this one alone
    """
    roles = target.stored.lock.release.roles_for(target.host.groups)
    return tuple(
        (name, golden)
        for name, its in sorted(roles.items())
        if role in (None, name)
        for golden in golden_questions(its)
    )


def one_bundle(inventory: Inventory, found: Sequence[Target]) -> str:
    """The digest of the bundle that the inventory names for these hosts.

    Raises SealiftError where it names several.
    """
    bundles = {target.stored.digest: target.release for target in found}
    if len(bundles) > 1:
        names = ", ".join(sorted(f"{release} of {bundle[:19]}" for bundle, release in bundles.items()))
        raise SealiftError(
            f"{inventory.path}: its hosts have different releases ({names}), expected one. "
            "Evaluate them apart with --limit."
        )
    return next(iter(bundles))


def golden_questions(role: Role) -> tuple[Golden, ...]:
    """All that shows whether a role answers well."""
    return (*role.questions, *role.pairs)


def check_standing(found: Sequence[Target], standing: Sequence[HostStanding]) -> None:
    """What hosts answer must be of the release that the inventory names.

    Raises SealiftError with a line per host that runs another, or does not answer.
    """
    wanted = {target.host.name: target.stored.digest for target in found}
    wrong = [
        each.error
        or f"{each.host}: runs {each.standing.release if each.standing else None} of another bundle than "
        "the inventory names. Apply it, or name that one in the inventory."
        for each in standing
        if each.error or not each.standing or each.standing.bundle != wanted[each.host]
    ]
    if wrong:
        raise SealiftError("\n".join(wrong))


def evaluate(found: Sequence[Target], role: str | None, tell: Callable[[str], None]) -> tuple[Answer, ...]:
    """Ask every host its golden questions, one after another, several hosts at a time.

    + role: of this one alone
    + tell: takes what is asked now

    Raises SealiftError where nothing is to be asked.
    """
    asked = [target for target in found if golden_of(target, role)]
    if not asked:
        raise SealiftError(
            f"{role or 'no role'}: no host here serves a role of that name with golden questions, expected "
            "questions or pairs in the release file. See docs/quality.md."
        )
    threads = asked[0].host.settings.verify_at_once
    answers = at_once(lambda target: tuple(_answers(target, role, tell)), asked, threads)
    return tuple(answer for of_host in answers for answer in of_host)


def results_folder(inventory: Inventory) -> Path:
    """Where a site's results stay, beside its evidence."""
    return lasting_folder(inventory) / "quality" / inventory.name


def _answers(target: Target, role: str | None, tell: Callable[[str], None]) -> Iterator[Answer]:
    host, settings = target.host, target.host.settings
    key = open_secrets(settings.secrets, settings.identity).first_key(datetime.now(UTC).date())
    for name, golden in golden_of(target, role):
        tell(f"{host.name}: {name}: {one_line(golden.title)[:60]}")
        verdict = judged(name, golden, lambda path, body: _ask(host, key, path, body))
        yield Answer(
            host=host.name,
            role=name,
            question=golden.title,
            identity=identity(name, golden),
            said=verdict.said,
            problem=verdict.problem,
        )


def _ask(host: Host, key: SecretStr, path: str, body: Mapping[str, object]) -> Any:
    answer = send(host, key, "POST", path, body)
    if answer.status_code != requests.codes.ok:
        raise SealiftError(f"answers {answer.status_code} {one_line(answer.text[:200])}")
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise SealiftError(f"answers {one_line(answer.text[:200])}, which is no JSON") from None
