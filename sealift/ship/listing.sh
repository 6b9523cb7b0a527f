# What a host store has. $1 and $2: folders of blobs and of partial blobs. Changes nothing.
# Lines: `blob NAME SIZE MTIME MODE`, `partial NAME SIZE`, `free BYTES` (of the file system they are on).
listing() {
    for folder in "$1" "$2"; do
        case $folder in "$1") format='blob %f %s %T@ %m\n' ;; *) format='partial %f %s\n' ;; esac
        [ ! -d "$folder" ] || find "$folder" -mindepth 1 -maxdepth 1 -type f -printf "$format"
    done
    parent=$1
    while [ ! -d "$parent" ]; do parent=$(dirname "$parent"); done
    echo "free $(df --output=avail -B1 "$parent" | tail -n 1 | tr -d ' ')"
}
