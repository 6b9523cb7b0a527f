#!/bin/sh
# The demo's site, as its administrator makes it on the control node. Once: what is there is the site's own.
set -eu
[ ! -e /srv/sealift/sites/lab ] || exit 0
sealift init lab --host h1=10.77.0.11 --host h2=10.77.0.12 --gpu h3=10.77.0.13 --monitor h1 --release demo:2026.11.0 \
    --user admin --ssh-key /srv/sealift/id_ed25519 --known-hosts /srv/sealift/known_hosts
settings=/srv/sealift/sites/lab/group_data/all.py
# Small: the hosts share one machine with each other. Models that answer together take longer there than in turn,
# and what is slow elsewhere is not slow here. Both models stay loaded.
sed -i -e 's/"context_length": 4096,/"context_length": 2048,/' \
    -e 's/"memory_limit_mib": 8192,/"max_loaded_models": 2,\n    "memory_limit_mib": 2048,/' \
    -e 's/"memory_mib": 8192,/"memory_mib": 1024,/' -e 's/"disk_free_mib": 10240,/"disk_free_mib": 512,/' \
    -e 's|^    "key": ".*/monitor.key",|&\n    "probe_interval_s": 300,\n    "degraded_s": 30,|' \
    -e 's|"degraded_s": 30,|&\n    "alerts": {"answer_s": 180, "tokens_per_second": 0.1},|' \
    $settings
cat >>$settings <<'END'

# The release promises what people notice. On a share of two processors that cannot be kept: so much can.
objectives = {
    "chat": {"first_token": "120s", "answer": "180s", "tokens_per_second": 0.05},
    "classify": {"answer": "120s"},
    "embed": {"answer": "60s"},
}
verify_at_once = 2
ship_port = 4711  # hosts pass the release on to each other
END
cat >/srv/sealift/sites/lab/group_data/gpu.py <<'END'
"""The one host with a GPU has a device that stands in for it, and is none."""

gpu = {"stand_in": True}
END
sealift check lab
