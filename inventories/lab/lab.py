"""The lab on this machine: hosts as `sealift lab up` has made them.

    sealift lab up
    pyinfra inventories/lab/lab.py deploy.py

This is the only inventory that reads state; those of real fleets name their hosts, as `sealift init` makes
them. pyinfra connects through a relay on loopback, everything else by name through ssh_config.
"""

import json
import os
import sys
from pathlib import Path

_file = Path(os.environ.get("SEALIFT_LAB") or ".lab").resolve() / "hosts.json"
if not _file.exists():
    sys.exit(f"{_file}: not found, expected a lab. Run sealift lab up, or set SEALIFT_LAB.")

# Every host that answers prompts.
llm = [
    (
        host["name"],
        {
            "ssh_hostname": host["relay"],
            "ssh_port": host["relay_port"],
            "_sudo": host["sudo"],
            "ship_address": host["address"],
        },
    )
    for host in json.loads(_file.read_text())["hosts"]
]

# The first host watches all of them.
monitor = llm[:1]

# The last host has a stand-in for a GPU: a device that is none.
gpu = llm[-1:]
