"""The lab on this machine: hosts as `sealift lab up` has made them.

    sealift lab up
    pyinfra inventories/lab/lab.py deploy.py

This is the only inventory that reads state; those of real fleets name their hosts. pyinfra connects
through a relay on loopback, everything else by name through ssh_config. The control node has no relays: there
pyinfra goes by ssh_config too.
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
    (host["name"], {"ssh_hostname": host["relay"], "ssh_port": host["relay_port"]} if "relay" in host else {})
    for host in json.loads(_file.read_text())["hosts"]
]

# The last host has a stand-in for a GPU: a device that is none.
gpu = llm[-1:]
