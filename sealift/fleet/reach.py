"""Getting to where the hosts can be reached: some inventories name a command that leads there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sealift.site.inventory import Inventory

_ENTERED = "SEALIFT_ENTERED"  # in the environment of a process that the command has led there


def way_in(inventory: Inventory, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The words that go before a command that talks to hosts' services; none where it can be run as it is.

    + environment: of this process
    """
    words = inventory.hosts[0].settings.enter
    return () if environment.get(_ENTERED) == " ".join(words) else words


def entered(words: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that these words lead to where the hosts are."""
    return {**environment, _ENTERED: " ".join(words)}
