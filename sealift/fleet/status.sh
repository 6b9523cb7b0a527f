# What stands on a host, as KEY=VALUE lines. $1: the link to the current generation, $2: Ollama's store,
# $3: sealift's folder, $4: the Compose project of what serves models. Changes nothing.
set -u
export LC_ALL=C
if [ -L "$1" ]; then echo "generation=$(basename "$(readlink "$1")")"; fi
if [ -r "$1/release.json" ]; then echo "release=$(head -c 524288 "$1/release.json" | tr -d '\n')"; fi
if [ -d "$2/manifests" ]; then
    find "$2/manifests" -mindepth 4 -maxdepth 4 -type f -printf 'model=%P\n' | sort
fi
# A command to a stopped Docker would start it, through its socket.
if command -v docker >/dev/null && [ "$(systemctl is-active docker)" = active ]; then
    ids=$(docker ps --all --quiet --filter label=com.docker.compose.project)
    [ -z "$ids" ] || docker inspect --format 'runs={{index .Config.Labels "com.docker.compose.project"}}|{{.State.Status}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{.Image}}' $ids
    for id in $(docker ps --quiet --filter label=com.docker.compose.project="$4"); do
        timeout 5 docker exec "$id" ollama ps | sed -n '2,$s/^\([^ ]*\) .*/loaded=\1/p'
    done
fi
if [ -d "$3" ]; then echo "free=$(df --output=avail -B1 "$3" | tail -n 1 | tr -d ' ')"; fi
echo end=
