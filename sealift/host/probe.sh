# What preflight wants to know of a host beside room.sh, which goes before it, as KEY=VALUE lines. $2: where Docker's
# data is to lie. Changes nothing.
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
if [ -r "$stands/rollout.lock" ]; then echo "rollout=$(head -n 1 "$stands/rollout.lock")"; fi
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
if [ -e /snap/bin/docker ]; then echo docker_snap=yes; fi
if command -v ss >/dev/null; then
    ss -Hltnp | while read -r _ _ _ address _ process; do echo "listener=${address##*:} $process"; done
else # a minimal host: the ports, without whose they are
    cat /proc/net/tcp /proc/net/tcp6 | while read -r _ address _ state _; do
        [ "$state" != 0A ] || printf 'listener=%d\n' "0x${address##*:}"
    done
fi
echo "docker_data=$(readlink -m "$2")"
echo end=
