"""An aria2 swarm with Debian's opentracker, to hold the chain against. Source: BEP 3 and 27, aria2c(1).

Pieces of 64 KiB: the more pieces there are to a host, the better a swarm does.
"""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.ship_hosts import ShapedHosts
from bench.ship_ways import Release
from sealift.errors import SealiftError

_PIECE = 64 << 10  # bytes
_PATIENCE_S = 600
_FOLDER = "/run/swarm"
_HOOK = "#!/bin/sh\ndate +%s.%N >/run/swarm/done.partial; mv /run/swarm/done.partial /run/swarm/done\n"
_ARIA2 = (
    "aria2c --no-conf=true --quiet --listen-port=6881 --enable-dht=false --enable-dht6=false "
    "--bt-enable-lpd=false --bt-max-peers=200 --bt-tracker-interval=5 --seed-ratio=0.0 "
    "--check-integrity=true --file-allocation=none"
)
_TRACKER = "opentracker -f {folder}/tracker.conf"
_CONFIG = """\
listen.tcp_udp {address}:6969
access.whitelist /whitelist
tracker.user nobody
tracker.rootdir {folder}
"""

Bencoded = int | str | bytes | Sequence["Bencoded"] | Mapping[str, "Bencoded"]


def swarm(hosts: ShapedHosts, release: Release) -> float:
    """Seconds until the last host has all of it."""
    address = hosts.address(hosts.control)
    torrent, digest = _torrent(release, f"http://{address}:6969/announce")
    folder = hosts.shared / "swarm"
    folder.mkdir(exist_ok=True)
    (folder / "release.torrent").write_bytes(torrent)
    (folder / "whitelist").write_text(f"{digest}\n")
    (folder / "tracker.conf").write_text(_CONFIG.format(address=address, folder=folder))
    for name in hosts.fleet:
        hosts.put(name, f"{_FOLDER}/release.torrent", torrent)
        hosts.put(name, f"{_FOLDER}/hook", _HOOK.encode())
        hosts.on(name, f"chmod 755 {_FOLDER}/hook; rm -f {_FOLDER}/done")
    running = [_begin(hosts, hosts.control, _TRACKER.format(folder=folder))]
    try:
        seed = f"{_ARIA2} --dir={release.folder.parent} {folder}/release.torrent"
        running.append(_begin(hosts, hosts.control, seed))
        began = time.time()
        take = f"{_ARIA2} --dir={_FOLDER} --on-bt-download-complete={_FOLDER}/hook {_FOLDER}/release.torrent"
        running += [_begin(hosts, name, take) for name in hosts.fleet]
        seconds = max(_done(hosts, name) for name in hosts.fleet) - began
    finally:
        for name in hosts.names:
            hosts.on(name, "pkill aria2c; pkill opentracker")  # each in a PID namespace of its own
        for each in running:
            each.wait()
    hosts.require_all(release.sums, f"{_FOLDER}/{release.folder.name}")
    return seconds


def _begin(hosts: ShapedHosts, name: str, script: str) -> subprocess.Popen[bytes]:
    command = [str(hosts.folder / "bin/ssh"), "--", name, script]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _done(hosts: ShapedHosts, name: str) -> float:
    """When a host had all of it, in seconds since 1970."""
    note = Path(f"/proc/{hosts.pid(name)}/root{_FOLDER}/done")
    end = time.monotonic() + _PATIENCE_S
    while not note.exists():
        if time.monotonic() > end:
            raise SealiftError(f"{name}: has not all that the swarm should bring after {_PATIENCE_S} s")
        time.sleep(0.1)
    return float(note.read_text())


def _torrent(release: Release, announce: str) -> tuple[bytes, str]:
    """A torrent of the release, and its info-hash."""
    files = [(blob, (release.folder / blob.hex).read_bytes()) for blob in release.blobs]
    content = b"".join(each for _, each in files)
    pieces = [content[at : at + _PIECE] for at in range(0, len(content), _PIECE)]
    info: Mapping[str, Bencoded] = {
        "files": [{"length": blob.size, "path": [blob.hex]} for blob, _ in files],
        "name": release.folder.name,
        "piece length": _PIECE,
        "pieces": b"".join(hashlib.sha1(piece, usedforsecurity=False).digest() for piece in pieces),
        "private": 1,
    }
    digest = hashlib.sha1(_bencode(info), usedforsecurity=False).hexdigest()
    return _bencode({"announce": announce, "info": info}), digest


def _bencode(value: Bencoded) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case str():
            return _bencode(value.encode())
        case bytes():
            return b"%d:%s" % (len(value), value)
        case Mapping():
            pairs = (_bencode(key) + _bencode(value[key]) for key in sorted(value))
            return b"d" + b"".join(pairs) + b"e"
        case _:
            return b"l" + b"".join(map(_bencode, value)) + b"e"
