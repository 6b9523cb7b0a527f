"""Settings of every host in staging. docs/inventory.md explains each, with its default.

Plain values only: no imports, no logic. A setting that is not known is refused, and so is a wrong value:
all mistakes are listed at once, before anything is changed.

A file of a smaller group (`gpu.py`) wins over this one, whole settings at a time: `ollama` there replaces
`ollama` here, its keys are not merged. Paths are on the control node, relative to this project's folder.
"""

# What runs here: a release that was imported into the depot (`sealift import`), by version or by digest.
release = "assistant:2026.11.0"

# The site's store of imported releases, on the control node.
depot = "/srv/sealift/depot"

# How hosts are reached. OpenSSH and pyinfra both read this file.
ssh_config_file = "inventories/staging/ssh_config"
# A host whose key is not in the file of known hosts is not talked to. pyinfra's own default is to trust it.
ssh_strict_host_key_checking = "yes"

# The API keys of the gateway's clients, encrypted with age, and the identity that opens them (mode 0600).
# Neither is in the repository, for the next release would bring revoked keys back: docs/secrets.md.
secrets = "/etc/sealift/sites/staging/secrets.age"
identity = "/etc/sealift/sites/staging/identity"

# The gateway listens on the network, beside SSH and, where the release watches its fleet, the ports 9100,
# 9464 and 9465 (docs/watch.md). {host} stands for each host's name.
gateway = {
    "port": 8443,
    # From the site's CA, one pair for each host: brought to the control node, never in the deployment code.
    "certificate": "/etc/sealift/sites/staging/tls/{host}.crt",
    "key": "/etc/sealift/sites/staging/tls/{host}.key",
    "ca": "/etc/sealift/sites/staging/tls/ca.crt",
}

# By this certificate, and no other, hosts of the group `monitor` read the figures of all: docs/watch.md.
monitoring = {
    "certificate": "/etc/sealift/sites/staging/tls/monitor.crt",
    "key": "/etc/sealift/sites/staging/tls/monitor.key",
    # Who is told of alerts, beside a file on the host that watches.
    # "receivers": {"webhook": "/etc/sealift/sites/staging/webhook"},
}

# Ollama on hosts without a GPU. Settings that are left out keep Ollama's defaults.
ollama = {
    "num_parallel": 2,  # requests that one model answers at once; each needs a context's worth of memory
    "context_length": 8192,  # tokens
    "keep_alive": "24h",  # how long a model stays in memory after its last request
    "memory_limit_mib": 12288,  # of the container: beyond it, Ollama is stopped and not its neighbours
}

# A rollout that passes here signs a record with this key (mode 0600): production takes nothing without one.
promotion = {"key": "/etc/sealift/sites/staging/promotion_key"}

# Networks for containers. Must not overlap with a network that the hosts talk to.
docker = {"address_pool": "172.30.0.0/16"}

# A host with less is refused before anything is changed on any host.
minimum = {
    "memory_mib": 16384,
    "disk_free_mib": 10240,  # left over after the release has been shipped
}
