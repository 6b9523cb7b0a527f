# Receives blobs on standard input into a host store. $1: blobs, $2: partial blobs, $3: lock file.
# Says what the store has (see listing.sh) and `ready`, then obeys lines:
#   check HEX SIZE         hash a stored blob again: `kept HEX`, or `gone HEX` when it was not what its name says
#   blob HEX SIZE OFFSET   SIZE - OFFSET raw bytes follow: `ok HEX` or `bad HEX`, soon after
#   end                    all that was received is stored: `done`
# A stored blob has mode 444 and mtime 1, set when its content was verified and on disk. When either end is
# killed the partial blob stays, and the next run goes on behind it.
set -eu
export LC_ALL=C
umask 022
blobs=$1 partial=$2 received='' count=0

mkdir -p "$blobs" "$partial"
exec 9>>"$3"
if ! flock -w 120 9; then
    echo "another shipment runs here (process $(tail -n 1 "$3"))" >&2
    exit 75
fi
echo $$ >"$3"

sum() { sha256sum | cut -c 1-64; }

store() { # the received blobs: to disk, marked as verified, into place
    [ -n "$received" ] || return 0
    (
        cd "$partial"
        sync -- $received
        chmod 0444 -- $received
        touch -d @1 -- $received
        mv -f -t "$blobs" -- $received
    )
    sync -- "$blobs" "$partial"
    for hex in $received; do echo "ok $hex"; done
    received='' count=0
}

check() {
    if [ "$(stat -c %s "$blobs/$1")" = "$2" ] && [ "$(sum <"$blobs/$1")" = "$1" ]; then
        chmod 0444 "$blobs/$1"
        touch -d @1 "$blobs/$1"
        echo "kept $1"
    else
        rm -f "$blobs/$1"
        echo "gone $1"
    fi
}

receive() {
    file=$partial/$1
    [ "$3" != 0 ] || : >"$file"
    [ "$(stat -c %s "$file")" = "$3" ] || { echo "$1: is no longer as it was listed" >&2; exit 1; }
    hash=$({ [ "$3" = 0 ] || cat "$file"; head -c $(($2 - $3)) | tee -a "$file"; } | sum)
    if [ "$(stat -c %s "$file")" != "$2" ]; then
        echo "$1: only $(stat -c %s "$file") of $2 bytes are stored" >&2
        exit 1
    elif [ "$hash" = "$1" ]; then
        received="$received $1" count=$((count + 1))
        [ $count -lt 50 ] && [ "$2" -lt 50000000 ] || store
    else
        rm -f "$file"
        echo "bad $1"
    fi
}

listing "$blobs" "$partial"
echo ready
while read -r verb hex size offset; do
    case $hex in *[!0-9a-f]*) exit 1 ;; esac
    case $verb in
        check) check "$hex" "$size" ;;
        blob) receive "$hex" "$size" "$offset" ;;
        end) store; echo "done" ;;
        *) exit 1 ;;
    esac
done
