# $1: folder of a generation, $2: of all live files, which may be missing.
place_live() {
    umask 077
    mkdir -p "$2"
    chmod 700 "$2"
    for to in "$2"/*; do
        [ -d "$1/${to##*/}/live" ] || rm -rf -- "$to"
    done
    for from in "$1"/*/live; do
        [ -d "$from" ] || continue
        to=${from%/live}
        to=$2/${to##*/}
        mkdir -p "$to"
        chmod 700 "$to"
        for old in "$to"/* "$to"/.[!.]*; do
            if [ ! -f "$from/${old##*/}" ] || [ -d "$old" ]; then rm -rf -- "$old"; fi
        done
        for file in "$from"/*; do
            cp -p "$file" "$to/.new" && sync "$to/.new" && mv -T "$to/.new" "$to/${file##*/}" || return 1
        done
        sync "$to" "$2"
    done
}
