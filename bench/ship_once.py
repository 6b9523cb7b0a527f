"""One shipment by sealift's own code, in the control node's network: `python -m bench.ship_once`.

Prints a line of JSON: what was shipped, what came straight from the control node although a chain was asked
for, and what memory this process and its children took.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.memory import family, memory_of
from sealift.blob import Blob
from sealift.depot.store import Depot
from sealift.progress import Progress, silent
from sealift.ship import over_chain as module
from sealift.ship.over_ssh import over_ssh
from sealift.ship.shipping import ship
from sealift.ship.types import BlobPath, Order, Shipped
from sealift.ssh import Gathered, Ssh

PORT = 4711


def main() -> int:
    """Run as a command; returns the exit status: 1 where a host did not get all of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.ship_once", description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="folder with depot, blobs and ssh_config")
    parser.add_argument("--star", action="store_true", help="no chain")
    parser.add_argument("hosts", nargs="+")
    options = parser.parse_args()
    listed = json.loads((options.shared / "blobs.json").read_text())
    blobs = tuple(Blob(digest=digest, size=size) for digest, size in listed)
    port = 0 if options.star else PORT
    orders = [Order(Ssh(host, options.shared / "ssh_config"), blobs, port) for host in options.hosts]
    straight: list[int] = []

    def counted(orders: Sequence[Order], blob_path: BlobPath, progress: Progress) -> Gathered[Shipped]:
        done = over_ssh(orders, blob_path, progress)
        straight.append(sum(each.blobs for each in done.results.values()))
        return done

    module.over_ssh = counted  # type: ignore[attr-defined] # the module imports it; nothing else tells
    with memory_of(family) as memory:
        began = time.monotonic()
        gathered = ship(orders, Depot(options.shared / "depot"), silent)
        seconds = time.monotonic() - began
    notes = {host: each.note for host, each in gathered.results.items() if each.note}
    print(
        json.dumps(
            {
                "seconds": seconds,
                "straight": sum(straight),
                "errors": {host: str(error) for host, error in gathered.errors.items()},
                "notes": notes,
                "memory": memory.most,
            }
        )
    )
    return 1 if gathered.errors else 0


if __name__ == "__main__":
    sys.exit(main())
