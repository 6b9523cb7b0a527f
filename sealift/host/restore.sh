# Makes this host what the generation was that this script lies in, out of the host's own store: no control node, no
# network. What it was stands in the file `record` beside it.
# Killed at any line, it is run again.
# Exit codes: 0 the host is as recorded, 1 a step failed, 75 another one of its kind is running.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="${PATH:-/bin}:/usr/sbin:/usr/bin:/sbin:/bin"
umask 022
root=/var/lib/sealift
blobs=$root/blobs/sha256
models=$root/models
timer=/etc/systemd/system/sealift-return

say() { echo "$(date -u +%T) $*"; }

fail() {
    echo "$1" >&2
    exit 1
}

record() { sed -n "s/^$1 //p" "$own/record"; }

need() { # need HEX: a blob of the host store that is whole
    path=$blobs/$1
    [ -f "$path" ] || fail "$path: missing, expected the blob of that name. Run sealift apply, or ship."
    [ "$(stat -c %Y "$path")" = 1 ] || echo "$1  $path" | sha256sum --check --status ||
        fail "$path: damaged, expected the blob of that name. Run sealift apply, or ship."
}

settle() { # settle NEW PATH: a file that is whole takes its place
    sync "$1"
    mv -T "$1" "$2"
    sync "$(dirname "$2")"
}

listed() { # listed NAME <LINES: a list of ours
    cat >"$root/$1.new"
    settle "$root/$1.new" "$root/$1"
    cp "$root/$1" "$work/$1"
}

stood() { # what stood in /etc when the generation was in force
    [ -d "$own/stood" ] || { say "what stood in /etc was not kept: it is left alone"; return 0; }
    for path in /etc/apt/keyrings/sealift.asc /etc/apt/sources.list.d/sealift.sources \
        /etc/containerd/config.toml /etc/docker/daemon.json /etc/cdi/sealift-stand-in.yaml; do
        if [ -f "$own/stood$path" ]; then
            ! cmp -s "$own/stood$path" "$path" || continue
            say "puts back $path"
            case $path in
                */containerd/*) : >"$root/.restart.containerd" ;;
                */docker/*) : >"$root/.restart.docker" ;;
            esac
            mkdir -p "$(dirname "$path")"
            cp -p "$own/stood$path" "$path.sealift-new"
            settle "$path.sealift-new" "$path"
        elif [ "$path" = /etc/cdi/sealift-stand-in.yaml ] && [ -e "$path" ]; then
            say "removes $path"
            rm -f "$path"
        fi
    done
    # made for the driver of the host, which is not the release's business
    if [ -f "$own/stood/etc/cdi/nvidia.yaml" ] && [ ! -e /etc/cdi/nvidia.yaml ]; then
        say "puts back /etc/cdi/nvidia.yaml"
        cp -p "$own/stood/etc/cdi/nvidia.yaml" /etc/cdi/nvidia.yaml
    fi
}

installed() { dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Version}\n' | sed -n 's/^[ih]i  //p' | sort; }

packages() {
    record package | sort >"$work/wanted"
    installed >"$work/installed"
    comm -23 "$work/wanted" "$work/installed" >"$work/wrong"
    if [ -z "$(dpkg --audit)" ] && [ ! -s "$work/wrong" ]; then return 0; fi
    # what the host has not yet is the release's to remove again
    cut -d' ' -f1 "$work/installed" >"$work/names"
    cut -d' ' -f1 "$work/wrong" | comm -23 - "$work/names" | cat - "$work/packages" | sort -u >"$work/brought"
    cmp -s "$work/brought" "$work/packages" || listed packages <"$work/brought"
    say "installs $(tr '\n' ',' <"$work/wrong" | sed 's/,$//; s/,/, /g')"
    from="-o Dir::Etc::SourceList=/etc/apt/sources.list.d/sealift.sources -o Dir::Etc::SourceParts=/dev/null"
    from="$from -o APT::Get::List-Cleanup=0 -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
    dpkg --force-confdef --force-confold --configure -a || say "some packages wait for others: apt-get goes on with them"
    # words, each of them an argument
    # shellcheck disable=SC2086
    apt-get $from -qq --error-on=any update
    # shellcheck disable=SC2086
    sed 's/ /=/' "$work/wanted" | xargs apt-get $from -qq install --yes --no-install-recommends --no-remove \
        --allow-downgrades --fix-broken -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold
}

daemon() { # daemon NAME: it runs, with its configuration
    marker=$root/.restart.$1
    systemctl is-enabled --quiet "$1.service" || systemctl enable --quiet "$1.service"
    if [ -e "$marker" ] || ! systemctl is-active --quiet "$1.service"; then
        say "restarts $1"
        systemctl reset-failed "$1.service"
        systemctl restart "$1.service"
        rm -f "$marker"
    fi
}

files() {
    record file | cut -d' ' -f1 | cat - "$work/files" | sort -u >"$work/all"
    cmp -s "$work/all" "$work/files" || listed files <"$work/all"
    record file | while read -r target mode hex; do
        if [ -f "$target" ] && [ ! -L "$target" ] && [ "$(stat -c %u:%g:%a "$target")" = "0:0:$mode" ] &&
            echo "$hex  $target" | sha256sum --check --status; then continue; fi
        say "puts back $target"
        need "$hex"
        mkdir -p "$(dirname "$target")"
        install -T -o root -g root -m "$mode" "$blobs/$hex" "$target.sealift-new"
        settle "$target.sealift-new" "$target"
    done
}

image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || echo none; }

images() {
    record image | while read -r name image config layers; do
        [ "$(image_id "$name")" != "$image" ] || continue
        if [ "$(image_id "$image")" = "$image" ]; then
            say "names the image $name as before"
            docker tag "$image" "$name"
            continue
        fi
        say "loads the image $name"
        need "$config"
        set -- "blobs/sha256/$config"
        joined=
        for hex in $layers; do
            need "$hex"
            set -- "$@" "blobs/sha256/$hex"
            joined="$joined,\"blobs/sha256/$hex\""
        done
        printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":[%s]}]' \
            "$config" "$name" "${joined#,}" >"$work/manifest.json"
        tar -cf - -C "$work" manifest.json -C "$root" "$@" | docker load --quiet
        [ "$(image_id "$name")" = "$image" ] ||
            fail "$name: Docker has loaded another image than the record names. Look at: docker info"
    done
}

weights() {
    mkdir -p "$models/blobs" "$models/manifests"
    record weights | while read -r hex; do
        [ ! "$blobs/$hex" -ef "$models/blobs/sha256-$hex" ] || continue
        say "places weights $hex"
        need "$hex"
        ln -f "$blobs/$hex" "$models/.new-blob"
        mv -T "$models/.new-blob" "$models/blobs/sha256-$hex"
    done
    sync "$models/blobs"
    record manifest | while read -r path hex; do
        ! cmp -s "$own/models/$hex" "$models/manifests/$path" || continue
        say "names the model $path as before"
        mkdir -p "$(dirname "$models/manifests/$path")"
        cp "$own/models/$hex" "$models/.new-manifest"
        settle "$models/.new-manifest" "$models/manifests/$path"
    done
}

places() { # what containers join and see
    record network | while read -r name; do
        docker network inspect "$name" >/dev/null 2>&1 || docker network create --internal "$name"
    done
    record folder | while read -r path owner; do
        [ ! -d "$path" ] || continue
        if [ "$owner" = 0 ]; then (umask 077 && mkdir -p "$path"); else install -d -m 755 -o "$owner" -g "$owner" "$path"; fi
    done
}

# PLACE_LIVE

activate() {
    if [ "$(readlink "$root/current")" != "generations/$id" ]; then
        # a key that was revoked meanwhile does not come back
        for new in "$root"/current/*/live/keys.yaml; do
            old=$own/${new#"$root/current/"}
            if [ -f "$new" ] && [ -f "$old" ] && ! cmp -s "$new" "$old"; then
                cp -p "$new" "$old.new"
                settle "$old.new" "$old"
            fi
        done
        say "activates the generation $id"
        ln -sfnT "generations/$id" "$root/current.new"
        mv -T "$root/current.new" "$root/current"
        sync "$root"
    fi
    (place_live "$root/current" "$root/live")
}

only_projects() {
    label=com.docker.compose.project
    record service | cut -d' ' -f2 | sort >"$work/projects"
    docker ps --all --filter "label=$label" --format "{{.Label \"$label\"}}" | grep '^sealift-' | sort -u |
        comm -23 - "$work/projects" | while read -r project; do
        say "removes $project"
        docker compose --project-name "$project" down --remove-orphans </dev/null 2>&1
    done
}

services() {
    record service | while read -r name project _; do
        say "runs $project"
        set -- docker compose --project-name "$project" --file "$root/current/$name/compose.yaml" \
            up --detach --wait --wait-timeout 180 --remove-orphans
        "$@" </dev/null 2>&1 || "$@" --force-recreate </dev/null 2>&1 || fail "$project does not come up. Look at: docker logs $project-$name-1"
    done
    record absent | while read -r path; do rm -rf -- "$path"; done
}

surplus() {
    record file | cut -d' ' -f1 | sort >"$work/wanted"
    comm -13 "$work/wanted" "$work/files" | while read -r path; do
        case $path in
            */../* | */./* | *//* | */.. | */. | */) ;;
            /usr/local/* | /opt/* | /srv/*)
                [ ! -e "$path" ] || say "removes $path"
                rm -f -- "$path"
                ;;
        esac
    done
    cmp -s "$work/wanted" "$work/files" || listed files <"$work/wanted"

    if [ -d "$models/manifests" ]; then
        record manifest | cut -d' ' -f1 | sort >"$work/wanted"
        (cd "$models/manifests" && find . -type f -printf '%P\n') | sort | comm -13 "$work/wanted" - |
            while read -r path; do
                say "removes the model $path"
                rm -f -- "$models/manifests/$path"
            done
        find "$models/manifests" -mindepth 1 -type d -empty -delete
        record weights | sed 's/^/sha256-/' | sort >"$work/wanted"
        (cd "$models/blobs" && find . -type f -printf '%P\n') | sort | comm -13 "$work/wanted" - |
            while read -r name; do rm -f -- "$models/blobs/$name"; done
    fi

    record package | cut -d' ' -f1 | sort >"$work/wanted"
    installed | cut -d' ' -f1 >"$work/names"
    comm -13 "$work/wanted" "$work/packages" | comm -12 - "$work/names" >"$work/gone"
    if [ -s "$work/gone" ]; then
        say "removes packages: $(tr '\n' ' ' <"$work/gone")"
        xargs dpkg --remove <"$work/gone"
    fi
    comm -12 "$work/wanted" "$work/packages" >"$work/brought"
    cmp -s "$work/brought" "$work/packages" || listed packages <"$work/brought"
}

finish() {
    if [ -e "$root/armed" ] || [ -e "$root/unconfirmed" ]; then
        printf '%s %s\n' "$(date -u +%FT%TZ)" "$id" | listed returned
    fi
    rm -f "$root/armed" "$root/unconfirmed"
    sync "$root"
    if [ -e "$timer.timer" ]; then # last: without `armed` it brings nothing back
        systemctl disable --quiet --now sealift-return.timer
        rm -f "$timer.timer" "$timer.service"
        systemctl daemon-reload
    fi
    say "this host is what generation $id was"
}

main() {
    own=$(cd "$(dirname "$0")" && pwd -P)
    [ -f "$own/record" ] || fail "$own: has no record, expected one beside this script."
    id=$(basename "$own")
    id=${id#.}
    id=${id%%.*}
    [ -d "$root/generations/$id" ] || fail "$own: is no generation of this host."
    exec 9>>"$root/restore.lock"
    flock -w 900 9 || {
        echo "another one is going back here for 15 minutes, expected one at a time. Look at: ps" >&2
        exit 75
    }
    rm -rf "$root"/.restore.*
    work=$(mktemp -d "$root/.restore.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    for list in packages files; do
        if [ -f "$root/$list" ]; then sort -u "$root/$list"; fi >"$work/$list"
    done
    stood
    packages
    stood # a package may have brought its own
    daemon containerd
    daemon docker
    files
    images
    weights
    places
    activate
    only_projects
    services
    surplus
    finish
}

main
exit
