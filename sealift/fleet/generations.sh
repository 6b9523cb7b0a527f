# What a host's generations are asked and told. $1: sealift's folder, $2: stands, arm, keep, confirm or go_back, $3: of arm
# and keep, seconds; of go_back, a generation's id, or nothing for `previous`.
# A generation is armed: a timer of systemd runs `previous/restore.sh` unless it is confirmed in time. The timer counts
# from when it was started and takes no notice of the clock; after a boot it counts anew.
set -eu
export LC_ALL=C
umask 022
root=$1
unit=sealift-return
patience=600 # half seconds between attempts to go back: ten of them may fail
timer=/etc/systemd/system/$unit

say_no() {
    echo "$1" >&2
    exit 1
}

id_of() { basename "$(readlink "$root/$1" || echo none)"; }

point() { # point LINK ID: in one step
    ln -sfnT "generations/$2" "$root/$1.new"
    mv -T "$root/$1.new" "$root/$1"
    sync "$root"
}

put() { # put PATH <LINES
    cat >"$1.new"
    sync "$1.new"
    mv -T "$1.new" "$1"
    sync "$(dirname "$1")"
}

not_now() {
    case $(systemctl is-active $unit.service) in
        active | activating | reloading) say_no "this host is going back just now, expected it to stand still. Wait for it." ;;
    esac
}

sub_state() { systemctl show --property=SubState --value $unit.service; }

units() { # units SECONDS: until the host goes back
    put $timer.service <<END
[Unit]
Description=sealift: go back to the last good generation
After=docker.service
RequiresMountsFor=$root/generations
ConditionPathExists=$root/armed
StartLimitIntervalSec=0
[Service]
Type=oneshot
Environment=HOME=/root
ExecStart=/bin/sh $root/previous/restore.sh
StandardOutput=truncate:/run/$unit.log
StandardError=append:/run/$unit.log
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=30
END
    put $timer.timer <<END
[Unit]
Description=sealift: go back unless the new generation is confirmed
[Timer]
OnActiveSec=$1
AccuracySec=1s
[Install]
WantedBy=timers.target
END
    systemctl daemon-reload
    systemctl enable --quiet $unit.timer
    systemctl restart $unit.timer
}

stands() {
    for link in current previous; do
        [ ! -L "$root/$link" ] || echo "$link=$(id_of $link)"
    done
    for each in "$root"/generations/*; do
        [ -f "$each/release.json" ] || continue
        restorable=no
        if [ -f "$each/record" ] && [ -f "$each/restore.sh" ]; then restorable=yes; fi
        echo "generation=$(basename "$each") $(stat -c %Y "$each") $restorable $(head -c 524288 "$each/release.json" | tr -d '\n')"
    done
    [ ! -f "$root/armed" ] || echo "armed=$(head -n 1 "$root/armed")"
    [ ! -f "$root/unconfirmed" ] || echo unconfirmed=
    [ ! -f "$root/returned" ] || echo "returned=$(head -n 1 "$root/returned")"
    echo end=
}

arm() {
    [ -L "$root/current" ] || return 0 # a bare host has nothing to go back to, and nothing to lose
    not_now
    now=$(id_of current)
    back=$(id_of previous)
    # an armed generation may be changed: the one to go back to stays the last good one
    to=$back
    if [ "$back" = none ] || { [ ! -e "$root/armed" ] && [ ! -e "$root/unconfirmed" ]; }; then to=$now; fi
    [ -f "$root/generations/$to/restore.sh" ] ||
        say_no "its generation $to is of an older sealift, which no timer can bring back, expected one with a record. Run sealift apply with the release that it runs."
    if [ "$to" != "$back" ]; then
        [ "$back" = none ] || echo "$back" | put "$root/before"
        point previous "$to"
    fi
    rm -f "$root/returned"
    units "$1"
    echo "$1" | put "$root/armed" # last: without its timer, nothing would end it
}

keep() { # as arm, of a host that waits still: one that went back is not told that what it runs is to be kept
    [ ! -f "$root/returned" ] || say_no "went back by itself ($(head -n 1 "$root/returned")), expected it to wait."
    [ ! -e "$root/armed" ] || arm "$1"
}

confirm() {
    [ -L "$root/current" ] || say_no "has no generation, expected one to confirm. Run sealift apply."
    not_now
    [ ! -f "$root/returned" ] || say_no "went back by itself ($(head -n 1 "$root/returned")), expected the new generation."
    if [ -e $timer.timer ]; then
        systemctl stop --quiet $unit.timer
        not_now # it may have begun meanwhile
    fi
    rm -f "$root/armed" "$root/unconfirmed"
    sync "$root"
    if [ -e $timer.timer ]; then # last: without `armed` it brings nothing back
        systemctl disable --quiet $unit.timer
        rm -f $timer.timer $timer.service
        systemctl daemon-reload
    fi
    if [ -f "$root/before" ]; then # where nothing new came, it is still the one to go back to
        before=$(cat "$root/before")
        [ "$(id_of current)" != "$(id_of previous)" ] || [ ! -d "$root/generations/$before" ] || point previous "$before"
        rm -f "$root/before"
    fi
}

go_back() {
    [ -L "$root/current" ] || say_no "nothing is deployed there, expected a generation to go back from."
    to=${1:-$(id_of previous)}
    [ "$to" != none ] || say_no "has no generation to go back to: it keeps none but the one in force."
    [ -d "$root/generations/$to" ] || say_no "has no generation $to, expected one that it keeps. See: sealift rollback --dry-run"
    [ -f "$root/generations/$to/restore.sh" ] ||
        say_no "its generation $to is of an older sealift and has no record, expected one with a record. Run sealift apply with that release."
    if [ "$(sub_state)" != start ]; then # else it is at it already
        [ "$(id_of previous)" = "$to" ] || point previous "$to"
        units 60 # where this one does not end, by a power cut
        [ -e "$root/armed" ] || echo 60 | put "$root/armed"
        systemctl stop --quiet $unit.service # which may be waiting for its next attempt
        systemctl start --no-block $unit.service
    fi
    # the unit goes on by itself where this is cut off
    left=$patience
    while [ -e "$root/armed" ] || [ "$(sub_state)" = start ]; do
        case $(sub_state) in
            auto-restart* | failed) left=$((left - 1)) ;;
        esac
        [ "$left" -gt 0 ] ||
            say_no "is not yet back on generation $to, and tries again every 30 s: $(tail -n 1 /run/$unit.log)"
        sleep 0.5
    done
    cat /run/$unit.log
}

asked=$2
shift 2
$asked "$@"
