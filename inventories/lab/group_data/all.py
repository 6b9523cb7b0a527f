"""Settings of every lab host. docs/inventory.md explains each, with its default.

Paths are below the lab's state, which moves with SEALIFT_LAB; a real fleet's settings are plain values.
"""

import json
import os
from pathlib import Path

_state = str(Path(os.environ.get("SEALIFT_LAB") or ".lab").resolve())
# What a control node's administrator has made there (`sealift init lab`) holds here too.
_made = f"{_state}/control/sites/lab"
_site = _made if Path(_made).is_dir() else _state

release = "demo:2026.11.0"
depot = f"{_state}/depot"

# Made by `sealift lab up`, the hosts' keys before they first boot: checking is strict from the start.
ssh_config_file = f"{_state}/ssh_config"
ssh_known_hosts_file = f"{_state}/known_hosts"
ssh_strict_host_key_checking = "yes"

secrets = f"{_site}/secrets.age"
identity = f"{_site}/identity"

gateway = {
    "port": 8443,
    "certificate": f"{_site}/tls/{{host}}.crt",
    "key": f"{_site}/tls/{{host}}.key",
    "ca": f"{_site}/tls/ca.crt",
}

# Probes of hosts that share processors wait for each other, too: what is slow elsewhere is not slow here.
monitoring = {
    "certificate": f"{_site}/tls/monitor.crt",
    "key": f"{_site}/tls/monitor.key",
    "probe_interval_s": 300,
    "degraded_s": 30,
    "alerts": {"answer_s": 180, "tokens_per_second": 0.1},
}

# Hosts pass a release on to each other while it arrives.
ship_port = 4711

# This machine is outside of the closed network; the control node, which is inside, needs no such words.
enter = json.loads(Path(_state, "hosts.json").read_text()).get("enter", [])
# The hosts share the processors of one machine: more models that answer together take longer than in turn.
verify_at_once = 2

# Small: three hosts share this machine with each other.
ollama = {"memory_limit_mib": 2048, "context_length": 2048, "max_loaded_models": 2}
minimum = {"disk_free_mib": 512, "memory_mib": 1024}

# The release promises what people notice. On a share of two processors that cannot be kept: so much can.
objectives = {
    "chat": {"first_token": "120s", "answer": "180s", "tokens_per_second": 0.05},
    "classify": {"answer": "120s"},
    "embed": {"answer": "60s"},
}
