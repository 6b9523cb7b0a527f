# What no generation of a host needs. $1: sealift's folder. Lines: `generation PATH`, `repository PATH`, `blob PATH`.
# The active generation and the one before it stay, with all that they name. A generation of an older version of
# sealift names no blobs: then all blobs stay. So does everything while a timer may bring the host back. Changes nothing.
set -u
export LC_ALL=C
[ -e "$1/current" ] && [ ! -e "$1/armed" ] || exit 0
cd "$1" || exit 1
kept="$(readlink current) $(readlink previous)"
for each in generations/*; do
    case " $kept " in
        *" $each "*) ;;
        *) [ ! -L "$each" ] || echo "generation $1/$each" ;;
    esac
done
bundles=$(cat current/release.json previous/release.json 2>/dev/null | grep -o 'sha256:[0-9a-f]*')
for each in repositories/*; do
    case "$bundles" in
        *"sha256:$(basename "$each")"*) ;;
        *) [ ! -d "$each" ] || echo "repository $1/$each" ;;
    esac
done
if [ -f current/blobs ] && { [ ! -e previous ] || [ -f previous/blobs ]; }; then
    { cat current/blobs previous/blobs 2>/dev/null; echo --; ls blobs/sha256; } | awk -v folder="$1/blobs/sha256/" '
        $1 == "--" { there = 1; next }
        !there { kept[$1] = 1; next }
        !($1 in kept) { print "blob " folder $1 }'
fi
