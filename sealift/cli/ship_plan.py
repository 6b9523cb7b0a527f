"""What `sealift ship --dry-run` shows."""

from __future__ import annotations

import dataclasses

from rich.filesize import decimal
from rich.table import Table

from sealift.cli.console import say, show
from sealift.cli.options import print_json
from sealift.ship.preview import Preview

_BYTES_PER_S = 10**9 // 8  # of a link of 1 Gbit/s


def show_planned(found: Preview, as_json: bool) -> None:
    """Print what would be shipped, and how."""
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    table = Table("host", "to ship")
    for host, count in found.lacking.items():
        table.add_row(host, decimal(count))
    show(table)
    for chain in found.chains:
        say(f"chain      {' > '.join(chain.order)}: {decimal(chain.longest)} over the link that carries most")
    seconds = found.from_control / _BYTES_PER_S
    say(f"control    sends {decimal(found.from_control)}: {seconds:.0f} s or more at 1 Gbit/s")
