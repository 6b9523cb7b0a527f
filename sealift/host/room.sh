# What decides what a host is to be, as KEY=VALUE lines. $1: where sealift's folder really is to lie. Changes nothing.
set -u
echo begin=
export LC_ALL=C
while read -r key size _; do
    if [ "$key" = MemTotal: ]; then echo "memory=$((size * 1024))"; fi
done </proc/meminfo
store=$1
root() { # root FOLDER: what stands where everybody looks for sealift's folder
    if [ -L "$1" ]; then echo "root=link $(readlink "$1")"
    elif [ ! -e "$1" ]; then :
    elif mountpoint -q "$1"; then echo root=mount
    elif [ -d "$1" ] && [ -z "$(ls -A "$1")" ]; then echo root=empty
    else echo root=full
    fi
}
root /var/lib/sealift
stands=/var/lib/sealift # or what a link led to that is gone
if [ -z "$(ls -A "$stands/" 2>/dev/null)" ]; then stands=$store; fi
if [ -d "${store%/*}" ]; then echo disk=yes; fi
if [ -d "$store" ]; then echo there=yes; fi
if [ -L "$stands/current" ]; then echo deployed=yes; fi
if command -v nvidia-smi >/dev/null; then # a driver that hangs must not hang us
    timeout 20 nvidia-smi --query-gpu=index,name,memory.total --format=csv,noheader 2>&1 | sed 's/^/gpu=/'
fi
echo room=
