#!/usr/bin/env bash
# The main job, once through, by the commands that a sysadmin would type. `make demo` calls it.
# Every step can be interrupted and run again; a second run finds everything in place.
set -euo pipefail
cd "$(dirname "$0")/.."

sources=build/ingredients      # what the release is made from
lock=build/demo.lock           # the release, pinned to digests
bundle=build/bundle            # what would be carried on media
lab=${SEALIFT_LAB:-.lab}       # the closed hosts
times=()

step() { # step TITLE COMMAND [ARGUMENT...]
    local title=$1 start=$EPOCHREALTIME
    shift
    printf '\n\033[1m== %s\033[0m\n   $ %s\n' "$title" "$*"
    "$@"
    times+=("$(awk -v a="$start" -v b="$EPOCHREALTIME" -v t="$title" 'BEGIN { printf "%7.1f s  %s", b - a, t }')")
    printf '   took %s\n' "${times[-1]%% s*} s"
}

step "Make the ingredients: Ollama, Envoy, Gemma, NVIDIA's toolkit" python -m demo.ingredients "$sources"
step "Start three closed hosts"                        sealift lab up
# A lock is made once: a new one may pin newer Debian packages, which would be another release.
if [ ! -e "$lock" ] || [ releases/demo.yaml -nt "$lock" ]; then
    step "Pin the release to digests"                  sealift lock releases/demo.yaml --sources "$sources" --out "$lock"
fi
step "Build the sealed bundle and sign it"             sealift build "$lock" --sources "$sources" --out "$bundle" --key "$lab/release_key"
step "Import it into the depot of the closed site"     sealift import "$bundle" --depot "$lab/depot" --allowed-signers "$lab/allowed_signers"
step "Apply it: preflight, ship, deploy with pyinfra"  sealift apply lab
step "Verify the hosts and write the evidence"         sealift verify lab
step "Ask Gemma on each host through its gateway"      sealift ask lab chat "What is the capital of France? Answer in one sentence."
step "What stands where"                               sealift status lab

printf '\n\033[1m== Times\033[0m\n'
printf '%s\n' "${times[@]}"
printf '\nEvidence:  %s\nAgain:     make demo           (quick, changes nothing)\nLook:      .venv/bin/sealift lab ssh h1\nTake down: make clean\n' \
    "build/evidence/$(readlink build/evidence/latest)/evidence.html"
