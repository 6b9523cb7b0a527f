#!/usr/bin/env bash
# The main job, once through, by the commands that a sysadmin would type. `make demo` calls it.
# Every step can be interrupted and run again; a second run finds everything in place.
set -euo pipefail
cd "$(dirname "$0")/.."

sources=build/ingredients      # what the release is made from
lock=build/demo.lock           # the release, pinned to digests
bundle=build/bundle            # the release, sealed
lab=${SEALIFT_LAB:-.lab}       # the closed site: its hosts, its control node, the media that are carried there
times=()

step() { # step TITLE COMMAND [ARGUMENT...]
    local title=$1 start=$EPOCHREALTIME
    shift
    printf '\n\033[1m== %s\033[0m\n   $ %s\n' "$title" "$*"
    "$@"
    times+=("$(awk -v a="$start" -v b="$EPOCHREALTIME" -v t="$title" 'BEGIN { printf "%7.1f s  %s", b - a, t }')")
    printf '   took %s\n' "${times[-1]%% s*} s"
}

control() { # control COMMAND: typed on the control node, which nothing but media has reached
    sealift lab ssh control "$1"
}

checkout() { # what this checkout is: a lock pins it as the deployment code
    { git ls-files --stage && git diff; } | sha256sum
}

step "Make the ingredients: Ollama, Envoy, Gemma, NVIDIA's toolkit" python -m demo.ingredients "$sources"
step "Start a closed site: three hosts and a control node, all bare" sealift lab up --control
# A lock is made once: a new one may pin newer Debian packages, which would be another release.
if [ ! -e "$lock" ] || ! checkout | cmp --silent - "$lock.of"; then
    step "Pin the release to digests"                  sealift lock releases/demo.yaml --sources "$sources" --out "$lock"
    checkout >"$lock.of"
fi
step "Build the sealed bundle and sign it"             sealift build "$lock" --sources "$sources" --out "$bundle" --key "$lab/release_key"
step "Write it to media, and carry them to the site"   sealift media write "$bundle" "$lab/media" --size 4G --key "$lab/release_key"
# --replace: the demo keeps its version while its code changes.
step "Make the control node out of the media alone"    control 'cd /media/sealift &&
     ssh-keygen -Y verify -n sealift -I release@lab -f /srv/sealift/allowed_signers -s TABLE.txt.sig <TABLE.txt &&
     awk "\$1 == \"start\" {print \$2 \"  \" \$4}" TABLE.txt | sha256sum --check &&
     python3 -I START.py --allowed-signers /srv/sealift/allowed_signers --to /srv/sealift --replace'
step "Make the site's inventory, its certificates and its first client" control 'sh /srv/sealift/deployment/demo/init.sh'
step "Apply it: preflight, ship, deploy with pyinfra"  control 'cd /srv/sealift/deployment && sealift apply lab'
step "Verify the hosts and write the evidence"         control 'cd /srv/sealift/deployment && sealift verify lab'
step "Ask Gemma on each host through its gateway"      control 'cd /srv/sealift/deployment && sealift ask lab chat "What is the capital of France? Answer in one sentence."'
step "What stands where"                               control 'cd /srv/sealift/deployment && sealift status lab'

printf '\n\033[1m== Times\033[0m\n'
printf '%s\n' "${times[@]}"
printf '\nEvidence:  %s\nAgain:     make demo           (quick, changes nothing)\nLook:      .venv/bin/sealift lab ssh control, or h1\nTake down: make clean\n' \
    "$lab/control/evidence/$(readlink "$lab/control/evidence/latest")/evidence.html"
