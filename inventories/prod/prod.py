"""Production: takes what passed in staging, and nothing else (docs/promotion.md).

    sealift plan prod         what would change, host by host
    sealift rollout prod      change it, in waves

A template for real sites. It stays as it is: `sealift init prod --from staging ...` makes yours,
in /etc/sealift/sites. The names are examples; addresses, keys and the jump host stand in `ssh_config`, and
nowhere else.

Every list below is a group: its hosts get the settings of `group_data/NAME.py`, if there is such a file.
Other lists must have a name that begins with an underscore, or pyinfra takes what is in them for hosts.
"""

# Every host that answers prompts. A host may be in several groups.
llm = [
    "llm1.prod.example",  # no GPU, 32 GiB of memory; front door, watches the fleet
    "llm2.prod.example",  # no GPU, 32 GiB of memory; second front door
    "llm3.prod.example",  # one NVIDIA GPU, driver installed by the site
]

# Those with an NVIDIA GPU and its driver. They get the container toolkit, and Ollama the GPUs.
gpu = ["llm3.prod.example"]

# Hosts that watch all of them: Prometheus, and who is told of alerts (docs/watch.md).
monitor = ["llm1.prod.example"]

# Hosts with the one address that applications ask (docs/front-door.md). Without one, they ask the hosts.
front = ["llm1.prod.example", "llm2.prod.example"]
