"""The waves of a rollout: the canary, then growing batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sealift.errors import SealiftError
from sealift.host.rollout_settings import RolloutSettings, hosts_of

DOOR = "the front door"  # stands among the roles of a host that is one


def waves(
    hosts: Sequence[str], total: int, answers: Mapping[str, frozenset[str]], settings: RolloutSettings
) -> tuple[tuple[str, ...], ...]:
    """Which hosts go together, in order: the same for the same hosts. The canary is the first, where one is.

    Hosts go by name, front doors last, so that a front door is no canary where another host can be.
    A wave never has all hosts that answer a role, unless one host alone answers it: then nobody waits longer
    for that one if others go with it.

    + hosts: that are to change
    + total: hosts of the site, which shares are of
    + answers: by host of the site that is not drained, the roles that it answers, DOOR among them
    """
    left = sorted(hosts, key=lambda host: (DOOR in answers.get(host, ()), _natural(host)))
    found: list[tuple[str, ...]] = []
    named = settings.canary if isinstance(settings.canary, tuple) else ()
    if isinstance(settings.canary, int):
        sizes = [settings.canary] if settings.canary else []
    else:
        chosen = [host for host in left if host in named]
        found += [tuple(chosen)] if chosen else []
        left = [host for host in left if host not in named]
        sizes = []
    sizes += [hosts_of(share, total) for share in settings.batches]
    while left:
        size = max(1, sizes.pop(0) if len(sizes) > 1 else sizes[0])
        wave = _take(left, size, answers)
        found.append(wave)
        left = [host for host in left if host not in wave]
    return tuple(found)


def require_canary(settings: RolloutSettings, names: Iterable[str]) -> None:
    """Raises SealiftError where the settings name a canary that is no host.

    + names: of the site's hosts, whether or not they answer now
    """
    named = settings.canary if isinstance(settings.canary, tuple) else ()
    if unknown := sorted({*named} - {*names}):
        raise SealiftError(
            f"rollout.canary: {', '.join(unknown)}: no host of the site, expected names of hosts. Correct it."
        )


def has_canary(first: Iterable[str], settings: RolloutSettings) -> bool:
    """Whether the first wave is the canary.

    + first: its hosts
    """
    if isinstance(settings.canary, int):
        return settings.canary > 0
    return bool(set(first) & set(settings.canary))


def _take(left: Sequence[str], size: int, answers: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The first hosts that can go together, one at least."""
    remaining: dict[str, int] = {}
    for roles in answers.values():
        for role in roles:
            remaining[role] = remaining.get(role, 0) + 1
    alone = {role for role, count in remaining.items() if count == 1}
    wave: list[str] = []
    for host in left:
        if len(wave) == size:
            break
        roles = answers.get(host, frozenset()) - alone
        if wave and any(remaining[role] == 1 for role in roles):
            continue
        for role in roles:
            remaining[role] -= 1
        wave.append(host)
    return tuple(wave)


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """So that h10 comes after h9."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for c in f"{name}\0":
        if "0" <= c <= "9":
            digits += c
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, c))
    return tuple(parts)
