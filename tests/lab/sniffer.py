"""What a host of a lab begins on the network: whatever it sends that answers nobody.

`python -m tests.lab.sniffer INDEX`, in the lab's network, where INDEX is the number of the interface at the
other end of the host's cable. Says that it is ready, listens until its input ends, and prints what it heard
as JSON. Sources: packet(7); RFC 791, 792, 768 and 9293 for headers, 4443, 4861 and 3810 for ICMPv6.
"""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from sealift.lab.layout import Lab
from sealift.lab.network import entering
from tests.lab.commands import CHECKOUT, Commands

# From linux/if_ether.h, linux/if_packet.h and asm-generic/socket.h.
_ETH_P_ALL, _SOL_PACKET, _PACKET_STATISTICS, _SO_RCVBUFFORCE = 3, 263, 6, 33
_ARP, _IPV4, _IPV6 = b"\x08\x06", b"\x08\x00", b"\x86\xdd"
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_FRAGMENT = 0x1FFF  # where in a packet a part of it belongs
_ANSWERS = (0, 3, 11, 12)  # of ICMP: to an echo, and what is wrong with a packet that came
_NEIGHBOURS = (131, 132, 135, 136, 143)  # of ICMPv6: who has an address, as ARP; who listens to a group
_HEADERS = 256  # bytes of a frame that are looked at
_BUFFER = 32 << 20  # bytes of frames that wait until somebody looks
Flow = tuple[str, int, str, int]
"""Protocol, the host's port, the other's address and port; 0 where there are no ports."""


@dataclass
class Heard:
    """What came of it, once it is over.

    + began: what the host sent first
    + answered: ports from which it sent in TCP connections that it did not begin while it was listened to; to
      refuse one is no answer
    + lost: frames that came faster than they were looked at: with any, nothing is proved
    """

    began: set[Flow] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)
    lost: int = 0
    _asked: set[Flow] = field(default_factory=set)  # by UDP

    def take(self, frame: bytes, sent: bool) -> None:
        """Look at a frame.

        + frame: its first bytes, from the Ethernet header on
        + sent: by the host, not to it
        """
        kind, packet = frame[12:14], frame[14:]
        if kind == _IPV4:
            self._take_ipv4(packet, sent)
        elif sent and kind != _ARP and not (kind == _IPV6 and _of_neighbours(packet)):
            self.began.add((f"ethertype {kind.hex()}", 0, frame[:6].hex(":"), 0))

    def _take_ipv4(self, packet: bytes, sent: bool) -> None:
        if int.from_bytes(packet[6:8], "big") & _FRAGMENT:
            return  # the first part has told all
        protocol, payload = packet[9], packet[(packet[0] & 15) * 4 :]
        peer = str(IPv4Address(packet[16:20] if sent else packet[12:16]))
        if protocol not in (_TCP, _UDP):
            if sent and not (protocol == _ICMP and payload[0] in _ANSWERS):
                self.began.add((f"IP protocol {protocol}", 0, peer, 0))
            return
        source, target = struct.unpack("!HH", payload[:4])
        own, other = (source, target) if sent else (target, source)
        flow = ("tcp" if protocol == _TCP else "udp", own, peer, other)
        if protocol == _UDP and not sent:
            self._asked.add(flow)
        elif sent and (flow not in self._asked if protocol == _UDP else payload[13] & (_SYN | _ACK) == _SYN):
            self.began.add(flow)
        elif sent and protocol == _TCP and flow not in self.began and not payload[13] & _RST:
            self.answered.add(own)


def _of_neighbours(packet: bytes) -> bool:
    """Whether a packet of IPv6 is what ARP is to IPv4."""
    following, payload = packet[6], packet[40:]
    if following == 0:  # options for each hop, before reports of groups
        following, payload = payload[0], payload[(payload[1] + 1) * 8 :]
    return following == _ICMPV6 and payload[0] in _NEIGHBOURS


@contextmanager
def listening(commands: Commands, host: str) -> Iterator[Heard]:
    """Listen at a host's cable while something is done."""
    found = re.search(r"host0@if(\d+):", commands.on(host, "ip -o link show host0"))
    assert found, "the host has no cable"
    command = entering(Lab(commands.lab.resolve()), [sys.executable, "-m", "tests.lab.sniffer", found[1]])
    heard = Heard()
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin and child.stdout
        try:
            assert child.stdout.readline() == "ready\n"
            yield heard
        finally:
            child.stdin.close()
            said = child.stdout.read()
    assert child.returncode == 0, "it ended before its time"
    told = json.loads(said)
    heard.began = {(protocol, own, peer, port) for protocol, own, peer, port in told["began"]}
    heard.answered, heard.lost = set(told["answered"]), told["lost"]


def _main(index: int) -> None:
    heard = Heard()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:  # of no protocol: it hears nothing yet
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        tap.bind((socket.if_indextoname(index), _ETH_P_ALL))
        print("ready", flush=True)
        while tap in select.select([tap, sys.stdin], [], [])[0]:  # at the end, first what waits still
            frame, (_, _, kind, *_) = tap.recvfrom(_HEADERS)
            heard.take(frame, sent=kind != socket.PACKET_OUTGOING)
        heard.lost = struct.unpack("II", tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
    print(json.dumps({"began": sorted(heard.began), "answered": sorted(heard.answered), "lost": heard.lost}))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
