"""A prompt to hosts, through their gateways, as an application would send it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from sealift.errors import SealiftError, printable
from sealift.fleet.gateway import send
from sealift.fleet.survey import Target
from sealift.release.role import Role
from sealift.site.inventory import Host
from sealift.site.secrets import open_secrets


@dataclass(frozen=True)
class Answer:
    """What a model said.

    + tokens_per_second: of the answer, without loading and reading the prompt
    + seconds: for all of it, as Ollama measured
    """

    text: str
    tokens_per_second: float
    seconds: float


def hosts_that_serve(role: str, found: tuple[Target, ...]) -> tuple[Host, ...]:
    """Those of some hosts that serve a role, and answer it in words.

    Raises SealiftError naming the roles that could be asked, where none does.
    """
    serving = [(target, target.stored.lock.release.roles_for(target.host.groups)) for target in found]
    asked = [(target, roles[role]) for target, roles in serving if role in roles]
    if not asked:
        known = ", ".join(sorted({name for _, roles in serving for name in roles})) or "none"
        raise SealiftError(f"{role}: no host here serves this role. The roles here: {known}.")
    hosts = tuple(target.host for target, its in asked if not _embeds(target, its))
    if not hosts:
        words = {name for target, roles in serving for name, its in roles.items() if not _embeds(target, its)}
        raise SealiftError(
            f"{role}: is a role of embeddings and answers in numbers, expected one that answers in words. "
            f"Those here: {', '.join(sorted(words)) or 'none'}."
        )
    return hosts


def _embeds(target: Target, role: Role) -> bool:
    return all(target.stored.lock.models[model].embeds for model in role.candidates)


def ask(host: Host, role: str, text: str) -> Answer:
    """Send a prompt to a host's gateway, with the first client's key, and TLS checked against the site's CA.

    + role: who is to answer; its model is the release's business

    Raises SealiftError where there is no good answer.
    """
    settings = host.settings
    key = open_secrets(settings.secrets, settings.identity).first_key(datetime.now(UTC).date())
    body = {"model": role, "messages": [{"role": "user", "content": text}], "stream": False}
    answer = send(host, key, "POST", "/api/chat", body)
    if answer.status_code != requests.codes.ok:
        raise SealiftError(
            f"{host.name}: {answer.url} answers {answer.status_code} {answer.reason} {answer.text[:200]!r}, "
            "expected 200. Run sealift status."
        )
    said = _parse(host.name, answer)
    if not said.text:
        raise SealiftError(
            f"{host.name}: {role} answers nothing at all, expected words. Its model may be damaged: "
            "run sealift verify."
        )
    return said


def _parse(host: str, answer: requests.Response) -> Answer:
    try:
        said = answer.json()
        return Answer(
            text=printable(str(said["message"]["content"]).strip()),
            tokens_per_second=said["eval_count"] / said["eval_duration"] * 1e9,  # nanoseconds
            seconds=said["total_duration"] / 1e9,
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        raise SealiftError(f"{host}: answers what Ollama would not: {answer.text[:200]!r}.") from None
