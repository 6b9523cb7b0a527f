"""Ships to one host: `python -m sealift.ship`, for a deployment that runs pyinfra by itself.

A process of its own, because threads and blocking reads have no place beside pyinfra's event loop.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sealift.depot.needed import needed_blobs
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.ship.shipping import ship
from sealift.ship.types import Order
from sealift.ssh import Ssh


def main(arguments: list[str]) -> int:
    """Ship; 0, or 1 after an error was printed."""
    parser = argparse.ArgumentParser(prog="python -m sealift.ship", description=__doc__)
    parser.add_argument("--host", required=True, help="its name in the ssh_config")
    parser.add_argument("--ssh-config", required=True, type=Path)
    parser.add_argument("--sudo", action="store_true", help="become root by sudo")
    parser.add_argument("--depot", required=True, type=Path)
    parser.add_argument("--release", required=True, help="NAME:VERSION or NAME@sha256:DIGEST")
    parser.add_argument("--groups", default="", help="the host's inventory groups: gpu,llm")
    options = parser.parse_args(arguments)
    depot = Depot(options.depot)
    try:
        lock = depot.resolve(options.release).lock
        blobs = needed_blobs(lock, frozenset(filter(None, options.groups.split(","))))
        ssh = Ssh(options.host, options.ssh_config, options.sudo)
        shipped = ship([Order(ssh, blobs)], depot).all()[options.host]
    except SealiftError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"shipped {shipped.blobs} blobs, {shipped.bytes} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
