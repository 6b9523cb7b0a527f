# Has sealift's folder lie on another disk. $1: the folder, $2: the disk's own, which must be there, $3: what in it.
# The link comes last and in one step; what stands already is left as it is. A folder with content, or a link that
# leads elsewhere, is a failure: neither is ever replaced.
set -eu
[ "$(readlink "$1")" != "$3" ] || exit 0
if [ ! -d "$2" ]; then
    echo "has no folder $2, expected the one that data_folder names. Mount its disk." >&2
    exit 1
fi
[ -d "$3" ] || mkdir -m 0755 "$3"
[ ! -e "$1" ] || rmdir "$1"
ln -sT "$3" "$1"
sync "$2" "$(dirname "$1")"
