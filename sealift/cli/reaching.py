"""Commands that talk to hosts' services run where those can be reached."""

from __future__ import annotations

import os
import sys

from sealift.fleet.reach import entered, way_in
from sealift.site.inventory import Inventory


def start_where_hosts_are(site: Inventory) -> None:
    """Start this command anew behind the words that lead to the hosts, if the inventory has any."""
    words = way_in(site, os.environ)
    if words:
        command = [*words, sys.executable, *sys.argv]
        os.execvpe(command[0], command, entered(words, os.environ))  # noqa: S606 - no shell is meant
