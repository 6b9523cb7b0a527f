# Hashes the blobs of a host store. $1: their folder. $2: `mark`, to have those that are not what their names say
# count as touched, so that they are shipped again; else nothing is changed. Lines: `damaged=NAME`, then `end=`.
set -eu
export LC_ALL=C
if cd "$1" 2>/dev/null; then
    jobs=$(nproc)
    [ "$jobs" -le 4 ] || jobs=4 # one disk is not read faster by more
    find . -maxdepth 1 -type f -printf '%f\n' | grep -E '^[0-9a-f]{64}$' |
        xargs -r -n 1 -P "$jobs" sh -c '[ "$(sha256sum <"$1" | cut -c 1-64)" = "$1" ] || echo "$1"' sealift |
        while read -r name; do
            [ "$2" != mark ] || touch -- "$name"
            echo "damaged=$name"
        done
fi
echo end=
