# What preflight wants to know of a host, as KEY=VALUE lines. $1: where sealift's folder really is to lie, $2: the same
# of Docker's data. Changes nothing.
set -u
echo begin=
export LC_ALL=C
if [ -r /etc/os-release ]; then (. /etc/os-release; echo "os=${ID:-}"; echo "suite=${VERSION_CODENAME:-}"); fi
if command -v dpkg >/dev/null; then
    echo "architecture=$(dpkg --print-architecture)"
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed /package=/p'
else
    echo "architecture=$(uname -m)"
fi
echo "uid=$(id -u)"
if [ -d /run/systemd/system ]; then echo systemd=yes; else echo systemd=no; fi
echo "clock=$(date +%s)"
# What no two machines have in common. The first is not for others' eyes, says machine-id(5): hence its hash.
if [ -s /etc/machine-id ]; then echo "own=machine-id $(sha256sum </etc/machine-id | cut -c 1-64)"; fi
for key in /etc/ssh/ssh_host_*_key.pub; do
    if [ -r "$key" ]; then echo "own=SSH-key $(cut -d ' ' -f 2 "$key")"; fi
done
awk '/^MemTotal:/ { printf "memory=%.0f\n", $2 * 1024 }' /proc/meminfo
store=$1
root() { # root FOLDER: what stands where everybody looks for sealift's folder
    if [ -L "$1" ]; then echo "root=link $(readlink "$1")"
    elif [ ! -e "$1" ]; then :
    elif mountpoint -q "$1"; then echo root=mount
    elif [ -d "$1" ] && [ -z "$(ls -A "$1")" ]; then echo root=empty
    else echo root=full
    fi
}
root /var/lib/sealift
stands=/var/lib/sealift # or what a link led to that is gone
if [ -z "$(ls -A "$stands/" 2>/dev/null)" ]; then stands=$store; fi
if [ -r "$stands/rollout.lock" ]; then echo "rollout=$(head -n 1 "$stands/rollout.lock")"; fi
if [ -d "${store%/*}" ]; then echo disk=yes; fi
if [ -d "$store" ]; then echo there=yes; fi
disk() { # disk KEY FOLDER: number of the device and bytes free, of the nearest folder that is there
    folder=$2
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    echo "$1=$(stat -c %d "$folder") $(df --output=avail -B1 "$folder" | tail -n 1 | tr -d ' ')"
}
disk store_disk "$store"
disk docker_disk "$2"
if [ -r /etc/docker/daemon.json ]; then
    echo "daemon_json=$(head -c 65536 /etc/docker/daemon.json | tr -d '\n')"
fi
configuration() { # configuration FILE: who wrote it as it is now, going by its content
    [ -f "$1" ] || return 0
    if grep -qsxF "$(sha256sum <"$1" | cut -c 1-64)" "$stands/written"; then
        echo "configuration=$1 sealift"
    elif command -v dpkg-query >/dev/null && dpkg-query -W -f '${Conffiles}\n' containerd containerd.io 2>/dev/null |
        grep -qxF " $1 $(md5sum <"$1" | cut -c 1-32)"; then
        echo "configuration=$1 package"
    else
        echo "configuration=$1 site"
    fi
}
configuration /etc/docker/daemon.json
configuration /etc/containerd/config.toml
if [ -L "$stands/current" ]; then echo deployed=yes; fi
if [ -e /snap/bin/docker ]; then echo docker_snap=yes; fi
if command -v ss >/dev/null; then
    ss -Hltnp | while read -r _ _ _ address _ process; do echo "listener=${address##*:} $process"; done
else # a minimal host: the ports, without whose they are
    cat /proc/net/tcp /proc/net/tcp6 | while read -r _ address _ state _; do
        [ "$state" != 0A ] || printf 'listener=%d\n' "0x${address##*:}"
    done
fi
if command -v nvidia-smi >/dev/null; then # a driver that hangs must not hang us
    timeout 20 nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader 2>&1 | sed 's/^/gpu=/'
fi
# A command to a stopped Docker would start it, through its socket.
if command -v docker >/dev/null && [ "$(systemctl is-active docker)" = active ]; then
    docker ps --all --format '{{if or (eq .State "running") (eq .State "paused") (eq .State "restarting")}}'\
'container={{.Label "com.docker.compose.project"}}|{{.Names}}|{{.Ports}}{{println}}{{end}}docker_container={{.Names}}'
    docker image ls --no-trunc --format 'image={{.ID}}'
    docker ps --quiet | xargs -r docker inspect --format \
        'restarts={{.HostConfig.RestartPolicy.Name}}|{{index .Config.Labels "com.docker.compose.project"}}|{{.Name}}'
    docker info --format 'docker_root={{.DockerRootDir}}{{println}}live_restore={{.LiveRestoreEnabled}}' # links resolved
    echo "docker_data=$(readlink -m "$2")"
fi
echo end=
