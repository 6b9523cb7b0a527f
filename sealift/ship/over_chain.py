"""Shipping by a chain of hosts, as far as that helps, and then over SSH whatever is still missing.

A chain is only a faster way to the same end. A host that fails in it is cut out and its neighbours are
joined, by a new chain of what each has by then. What no chain brings comes straight from the control node,
which also looks at each store once more at the end. A host that lacked nothing is asked once, and no more.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sealift.errors import SealiftError
from sealift.host_paths import ROOT
from sealift.progress import Meter, Progress
from sealift.ship.chain import Stage, fit, stages
from sealift.ship.chain_files import Link
from sealift.ship.chain_round import Member, run_chain
from sealift.ship.chain_suspects import Suspects
from sealift.ship.over_ssh import over_ssh
from sealift.ship.pace import Pace, total_pace
from sealift.ship.plan import Have, ShipPlan, listing_script, parse_listing, plan
from sealift.ship.types import BlobPath, Order, Shipped
from sealift.ssh import Gathered, T, on_all


def over_chain(orders: Sequence[Order], blob_path: BlobPath, progress: Progress) -> Gathered[Shipped]:
    """Ship to all hosts; a `sealift.ship.types.Transport`. Hosts whose order has no port are left to SSH."""
    by_host = {order.host: order for order in orders if order.port}

    def ask(host: str) -> tuple[Have, Member | None]:
        order = by_host[host]
        have = parse_listing(host, order.ssh.run(listing_script(ROOT)).splitlines())
        return have, _member(order) if plan(order.blobs, have).items else None

    asked = on_all(list(by_host), ask)
    haves = {host: have for host, (have, _) in asked.results.items()}
    plans = {host: plan(by_host[host].blobs, have) for host, have in haves.items()}
    notes = _why(asked)
    worth = [s for s in stages({host: by_host[host].blobs for host in haves}) if fit(s, haves)]
    if worth:
        meter = Meter("shipping", sum(each.bytes_total for each in plans.values()), progress)
        for stage in worth:
            members = on_all(stage.hosts, lambda host: asked.results[host][1] or _member(by_host[host]))
            notes |= _why(members)
            notes |= _ship_stage(stage, members.results, blob_path, meter, total_pace(orders))
    whole = {host for host, each in plans.items() if not each.items and not each.check}
    straight = over_ssh([order for order in orders if order.host not in whole], blob_path, progress)
    rest = {**dict.fromkeys(whole, Shipped(0, 0)), **straight.results}
    results = {
        order.host: _in_all(plans.get(order.host), rest[order.host], notes.get(order.host, ""))
        for order in orders
        if order.host in rest
    }
    return replace(straight, results=results)


def _why(gathered: Gathered[T]) -> dict[str, str]:
    """Why hosts failed, without their names."""
    return {host: str(error).removeprefix(f"{host}: ") for host, error in gathered.errors.items()}


def _member(order: Order) -> Member:
    return Member(order.ssh, Link(_ip(order), order.port, order.rate))


def _ship_stage(
    stage: Stage, members: Mapping[str, Member], blob_path: BlobPath, meter: Meter, pace: Pace
) -> Mapping[str, str]:
    """Chains, as long as another one may do better. Gives what there is to say of hosts."""
    known = Suspects()
    while True:
        left = {host: member for host, member in members.items() if host not in known.out}
        if not known.learn(run_chain(left, stage.blobs, known, blob_path, meter.add, pace)):
            return known.notes | known.out


def _ip(order: Order) -> str:
    """Where others reach a host: by its address, for names may mean something else to hosts."""
    address = order.address or order.ssh.address()
    try:
        return str(socket.getaddrinfo(address, order.port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise SealiftError(f"{order.host}: {address}: {error.strerror}, expected an address.") from None


def _in_all(first: ShipPlan | None, rest: Shipped, note: str) -> Shipped:
    """What was shipped to a host by either way; what SSH shipped is the end of it, or was damaged there."""
    if first is None:
        return replace(rest, note=note)
    return Shipped(max(len(first.items), rest.blobs), max(first.bytes_total, rest.bytes), note)
