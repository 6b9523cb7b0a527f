"""Getting what a release needs into the stores of its hosts."""

from __future__ import annotations

from collections.abc import Sequence

from sealift.depot.store import Depot
from sealift.progress import Progress, silent
from sealift.ship.over_chain import over_chain
from sealift.ship.over_ssh import over_ssh
from sealift.ship.types import Order, Shipped
from sealift.ssh import Gathered


def ship(orders: Sequence[Order], depot: Depot, progress: Progress = silent) -> Gathered[Shipped]:
    """Ship blobs out of the depot to hosts, by a chain of those that have a port for it.

    + orders: a host's each
    + progress: told of the bytes of all hosts together

    What failed is in the result: a host that fails leaves the others alone.
    """
    transport = over_chain if any(order.port for order in orders) else over_ssh
    return transport(orders, depot.blob_path, progress)
