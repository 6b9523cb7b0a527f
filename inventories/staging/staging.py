"""Staging: where a release proves itself before production takes it.

    pyinfra inventories/staging/staging.py deploy.py --dry     what would change
    pyinfra inventories/staging/staging.py deploy.py           change it

Every list below is a group: its hosts get the settings of `group_data/NAME.py`, if there is such a file.
Other lists must have a name that starts with an underscore, or pyinfra takes what is in them for hosts.
The names are examples; addresses and keys for them stand in `ssh_config`, and nowhere else.
"""

# Every host that answers prompts. A host may be in several groups.
llm = [
    "llm1.staging.example",
    "llm2.staging.example",
]

# Those with an NVIDIA GPU and its driver. They get the container toolkit, and Ollama the GPUs.
gpu = ["llm2.staging.example"]

# Hosts that watch all of them: Prometheus, and who is told of alerts (docs/watch.md).
# monitor = ["llm1.staging.example"]
