# What stands on a host, as KEY=VALUE lines. $1: sealift's folder, $2: where it really lies, should the link to it be
# gone, $3: the Compose project of what serves models, $4: its health check, $5: what the probe has measured, $6: the
# file that is written when word comes that alerts would arrive. Changes nothing.
set -u
export LC_ALL=C
if [ -L "$1" ] && [ ! -e "$1" ]; then echo "away=$(readlink "$1")"; fi
if [ -z "$(ls -A "$1/" 2>/dev/null)" ]; then set -- "$2" "$2" "$3" "$4" "$5" "$6"; fi
if [ -L "$1/current" ]; then echo "generation=$(basename "$(readlink "$1/current")")"; fi
if [ -r "$1/current/release.json" ]; then echo "release=$(head -c 524288 "$1/current/release.json" | tr -d '\n')"; fi
if [ -d "$1/models/manifests" ]; then
    find "$1/models/manifests" -mindepth 4 -maxdepth 4 -type f -printf 'model=%P\n' | sort
fi
# A command to a stopped Docker would start it, through its socket.
if command -v docker >/dev/null && [ "$(systemctl is-active docker)" = active ]; then
    ids=$(docker ps --all --quiet --filter label=com.docker.compose.project)
    [ -z "$ids" ] || docker inspect --format 'runs={{index .Config.Labels "com.docker.compose.project"}}|{{.State.Status}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{.Image}}' $ids
    for id in $(docker ps --quiet --filter label=com.docker.compose.project="$3"); do
        timeout 5 docker exec "$id" bash "$4" status
    done
fi
# Containers write to the folders of both, and root follows no link there, nor waits for what never ends.
age() { # age KEY FILE: seconds since it was written
    if [ ! -L "$2" ] && [ -f "$2" ] && at=$(stat -c %Y "$2"); then echo "$1=$(($(date +%s) - at))"; fi
}
age figures_age "$5"
if [ ! -L "$5" ] && [ -f "$5" ]; then
    timeout 5 dd if="$5" iflag=nofollow,nonblock,fullblock bs=262144 count=1 status=none |
        grep -E '^sealift_(role|gpu)_[a-z_]+\{' | sed 's/^/figure=/'
fi
age heartbeat_age "$6"
if [ -d "$1" ]; then
    echo "disk_size=$(df --output=size -B1 "$1" | tail -n 1 | tr -d ' ')"
    echo "free=$(df --output=avail -B1 "$1" | tail -n 1 | tr -d ' ')"
fi
echo end=
