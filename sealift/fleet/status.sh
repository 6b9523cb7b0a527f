# What stands on a host, as KEY=VALUE lines. $1: sealift's folder, $2: where it really lies, should the link to it be
# gone, $3: what the probe has measured, $4: the file that is written when word comes that alerts would arrive. Changes
# nothing.
set -u
export LC_ALL=C
if [ -L "$1" ] && [ ! -e "$1" ]; then echo "away=$(readlink "$1")"; fi
if [ -z "$(ls -A "$1/" 2>/dev/null)" ]; then set -- "$2" "$2" "$3" "$4"; fi
if [ -L "$1/current" ]; then echo "generation=$(basename "$(readlink "$1/current")")"; fi
if [ -r "$1/current/release.json" ]; then echo "release=$(head -c 524288 "$1/current/release.json" | tr -d '\n')"; fi
if [ -d "$1/models/manifests" ]; then
    find "$1/models/manifests" -mindepth 4 -maxdepth 4 -type f -printf 'model=%P\n' | sort
fi
# Containers write to the folders of both, and root follows no link there, nor waits for what never ends.
age() { # age KEY FILE: seconds since it was written
    if [ ! -L "$2" ] && [ -f "$2" ] && at=$(stat -c %Y "$2"); then echo "$1=$(($(date +%s) - at))"; fi
}
age figures_age "$3"
if [ ! -L "$3" ] && [ -f "$3" ]; then
    timeout 5 dd if="$3" iflag=nofollow,nonblock,fullblock bs=262144 count=1 status=none |
        grep -E '^sealift_(role|gpu)_[a-z_]+\{' | sed 's/^/figure=/'
fi
age heartbeat_age "$4"
if [ -d "$1" ]; then
    echo "disk_size=$(df --output=size -B1 "$1" | tail -n 1 | tr -d ' ')"
    echo "free=$(df --output=avail -B1 "$1" | tail -n 1 | tr -d ' ')"
fi
echo end=
