# What a host is, for comparison with the record of its current generation, as KEY=VALUE lines. $1: sealift's folder,
# then paths in /etc that generations keep copies of. Changes nothing.
set -u
export LC_ALL=C
root=$1
shift
[ -f "$root/current/record" ] || { echo end=; exit 0; }
sed 's/^/record=/' "$root/current/record"
dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Version}\n' | sed -n 's/^[ih]i  /package=/p'
sed -n 's/^file \([^ ]*\) .*/\1/p' "$root/current/record" | while read -r path; do
    [ ! -f "$path" ] || echo "file=$path $(stat -c %a "$path") $(sha256sum <"$path" | cut -c 1-64)"
done
[ ! -d "$root/models/manifests" ] || (cd "$root/models/manifests" && find . -type f -exec sha256sum {} +) |
    sed -n 's/^\([0-9a-f]*\)  \.\//manifest=\1 /p'
sed -n 's/^weights //p' "$root/current/record" | while read -r hex; do
    [ "$root/blobs/sha256/$hex" -ef "$root/models/blobs/sha256-$hex" ] || echo "lacks=weights $hex"
done
sed -n 's/^image \([^ ]*\) .*/\1/p' "$root/current/record" | while read -r name; do
    echo "image=$name $(docker image inspect --format '{{.Id}}' "$name" 2>/dev/null)"
done
ids=$(docker ps --all --quiet --filter label=com.docker.compose.project)
[ -z "$ids" ] || docker inspect --format 'runs={{index .Config.Labels "com.docker.compose.project"}}|{{.State.Status}}|{{if .State.Health}}{{.State.Health.Status}}{{end}}|{{index .Config.Labels "io.sealift.spec"}}|{{.Image}}' $ids
for path; do
    if [ -f "$path" ] || [ -f "$root/current/stood$path" ]; then
        cmp -s "$path" "$root/current/stood$path" || echo "lacks=$path as it stood"
    fi
done
for file in "$root"/current/*/live/*; do
    of=${file#"$root/current/"}
    [ ! -f "$file" ] || cmp -s "$file" "$root/live/${of%%/*}/${of##*/}" || echo "lacks=live file $of"
done
echo end=
