"""Where things stand on a host. Everything of sealift's is below one folder, on one file system.

The folder may be a link to one on another disk, as the site's `data_folder` says: see `sealift.host.root`.
"""

from __future__ import annotations

ROOT = "/var/lib/sealift"
BLOBS = f"{ROOT}/blobs/sha256"  # the host store; named as in an OCI image layout, so `docker load` reads it
PARTIAL = f"{ROOT}/partial"  # blobs on their way in, by the same names
REPOSITORIES = f"{ROOT}/repositories"  # one apt repository per bundle, of links into the host store
MODELS = f"{ROOT}/models"  # Ollama's store, of hard links into the host store; read-only for Ollama
GENERATIONS = f"{ROOT}/generations"
LIVE = f"{ROOT}/live"  # what running services read anew, by service; a copy out of the current generation
BUDGETS = f"{ROOT}/budgets"  # what clients with a budget used; kept over every generation
METRICS = f"{ROOT}/metrics"  # figures in Prometheus' own form, *.prom, which the node exporter shows
PROBED = f"{METRICS}/probe.prom"  # what the probe found
PUBLISHED = f"{METRICS}/fleet.prom"  # what status found, on hosts that watch
# Apart: a status that hashes no blobs must not take away what the last one found that did.
PUBLISHED_BLOBS = f"{METRICS}/fleet-blobs.prom"
PROMETHEUS_DATA = f"{ROOT}/prometheus"  # what Prometheus keeps; of hosts that watch
ALERTMANAGER_DATA = f"{ROOT}/alertmanager"
ALERTS = f"{ROOT}/alerts"  # what became of alerts, for people to read
COMPOSED = f"{ROOT}/composed"  # by project, what Compose made of its file when it started it last
PACKAGES = f"{ROOT}/packages"  # a list of the OS packages that the host had not before it got them
FILES = f"{ROOT}/files"  # a list of the release's plain files, which stand elsewhere
WRITTEN = f"{ROOT}/written"  # hashes of the daemons' configurations that were written here: all ever
CURRENT = f"{ROOT}/current"  # the link that activates a generation
PREVIOUS = f"{ROOT}/previous"  # a link to the last good one before it; as `current` on a host that went back
STOOD = f"{CURRENT}/stood"  # copies of files in /etc, as they were when the generation was in force
# There while the current generation has not proved itself. Until then `previous` does not move, and nothing
# goes that it needs.
UNCONFIRMED = f"{ROOT}/unconfirmed"  # an apply is at work, or was killed
ARMED = f"{ROOT}/armed"  # a timer brings the host back, unless `sealift.fleet.generations.confirm` stops it
# Folders that others may read, of a container that is not root: by number of its user and group. It is one of
# its own, for a process with another's numbers may look into its files, by /proc. systemd gives out none from
# 65520 on, and 65532 is that of many images.
OWNERS = {METRICS: 65530}
