"""What shipping would do, before it does anything. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sealift.ship.chain import fit, link, stages
from sealift.ship.plan import Have, plan
from sealift.ship.types import Order


@dataclass(frozen=True)
class Chain:
    """A chain that would be made.

    + order: its hosts; the control node sends to the first
    + longest: bytes of the link that carries most: it takes no less time than these
    """

    order: tuple[str, ...]
    longest: int


@dataclass(frozen=True)
class Preview:
    """What would be shipped.

    + lacking: bytes, by host
    + chains: one after the other
    + from_control: bytes that the control node would send in all
    + straight: of them, those that are in no chain
    + nowhere: bytes that no host has
    """

    lacking: Mapping[str, int]
    chains: tuple[Chain, ...]
    from_control: int
    straight: int
    nowhere: int


def preview(orders: Sequence[Order], haves: Mapping[str, Have]) -> Preview:
    """What would be shipped to hosts, and how.

    + haves: what hosts have, by name
    """
    lacking = {
        order.host: plan(order.blobs, haves[order.host]).bytes_total
        for order in orders
        if order.host in haves
    }
    able = {order.host: order.blobs for order in orders if order.port and order.host in haves}
    rates = {order.host: order.rate for order in orders if order.rate}
    chains: list[Chain] = []
    carried = first = 0  # bytes over all links of chains, and over the first link of each
    for stage in stages(able):
        if hosts := fit(stage, haves):
            parts = link(hosts, stage.blobs, haves, {}, rates)
            chains.append(Chain(tuple(part.host for part in parts), max(part.bytes for part in parts)))
            carried += sum(part.bytes for part in parts)
            first += parts[0].bytes
    straight = sum(lacking.values()) - carried
    return Preview(lacking, tuple(chains), straight + first, straight, _nowhere(orders, haves))


def _nowhere(orders: Sequence[Order], haves: Mapping[str, Have]) -> int:
    lacked = {blob for order in orders for blob in order.blobs if order.host in haves}
    return sum(
        blob.size
        for blob in lacked
        if all(have.verified.get(blob.hex) != blob.size for have in haves.values())
    )
