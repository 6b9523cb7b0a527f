"""What a host of a lab begins on the network, told by its frames from what it answers."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

import pytest

from tests.lab.sniffer import Heard

HOST, OTHER = "10.77.0.13", "10.77.0.12"
SYN, RST, PUSH, ACK = 0x02, 0x04, 0x08, 0x10
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


def _ethernet(kind: int, packet: bytes) -> bytes:
    return struct.pack("!6s6sH", b"\x02\0\0\0\0\x0c", b"\x02\0\0\0\0\x0d", kind) + packet


def _ipv4(protocol: int, payload: bytes, sent: bool = True, options: bytes = b"", part: int = 0) -> bytes:
    source, target = (HOST, OTHER) if sent else (OTHER, HOST)
    first, size = 0x45 + len(options) // 4, 20 + len(options) + len(payload)
    fields = struct.pack("!BBHHHBBH", first, 0, size, 0, part, 64, protocol, 0)
    return _ethernet(
        0x0800, fields + IPv4Address(source).packed + IPv4Address(target).packed + options + payload
    )


def _tcp(source: int, target: int, flags: int) -> bytes:
    return struct.pack("!HHIIBBHHH", source, target, 0, 0, 0x50, flags, 0, 0, 0)


def _udp(source: int, target: int) -> bytes:
    return struct.pack("!HHHH", source, target, 8, 0)


def _ipv6(following: int, payload: bytes) -> bytes:
    return _ethernet(0x86DD, struct.pack("!IHBB32x", 6 << 28, len(payload), following, 255) + payload)


def _heard(*frames: tuple[bytes, bool]) -> Heard:
    heard = Heard()
    for frame, sent in frames:
        heard.take(frame, sent)
    return heard


def test_a_connection_that_the_host_begins_is_told_and_all_of_it_is_no_answer() -> None:
    heard = _heard(
        (_ipv4(TCP, _tcp(40000, 22, SYN)), True),
        (_ipv4(TCP, _tcp(22, 40000, SYN | ACK), sent=False), False),
        (_ipv4(TCP, _tcp(40000, 22, PUSH | ACK), options=bytes(4)), True),
    )
    assert heard.began == {("tcp", 40000, OTHER, 22)} and heard.answered == set()


def test_answers_in_a_connection_are_told_by_the_hosts_port() -> None:
    heard = _heard(
        (_ipv4(TCP, _tcp(40000, 22, SYN), sent=False), False),
        (_ipv4(TCP, _tcp(22, 40000, SYN | ACK), options=bytes(8)), True),
        (_ipv4(TCP, _tcp(50000, 80, PUSH | ACK)), True),  # of a connection from before
        (_ipv4(TCP, _tcp(11434, 40000, RST | ACK)), True),
    )
    assert heard.began == set() and heard.answered == {22, 50000}


def test_a_datagram_is_an_answer_where_one_came_before() -> None:
    asked, answer = (_ipv4(UDP, _udp(999, 53), sent=False), False), (_ipv4(UDP, _udp(53, 999)), True)
    assert _heard(asked, answer).began == set()
    assert _heard(answer, asked).began == {("udp", 53, OTHER, 999)}
    assert _heard((_ipv4(UDP, b"the rest", part=185), True)).began == set()


@pytest.mark.parametrize(
    ("frame", "protocol"),
    [
        (_ipv4(ICMP, b"\x08\0\0\0"), "IP protocol 1"),
        (_ipv4(132, b"\0\1\0\2"), "IP protocol 132"),
        (_ipv6(ICMPV6, b"\x85\0\0\0"), "ethertype 86dd"),
        (_ipv6(TCP, _tcp(40000, 22, SYN)), "ethertype 86dd"),
        (_ethernet(0x88CC, b""), "ethertype 88cc"),
    ],
)
def test_whatever_else_the_host_sends_is_told(frame: bytes, protocol: str) -> None:
    assert [flow[0] for flow in _heard((frame, True)).began] == [protocol]
    assert _heard((frame, False)).began == set()


@pytest.mark.parametrize(
    "frame",
    [
        _ethernet(0x0806, b""),
        _ipv4(ICMP, b"\0\0\0\0"),
        _ipv4(ICMP, b"\x03\x03\0\0"),
        _ipv6(ICMPV6, b"\x87\0\0\0"),
        _ipv6(0, b"\x3a\0\5\2\0\0\0\0\x8f\0\0\0"),
    ],
)
def test_who_has_an_address_and_what_answers_is_not(frame: bytes) -> None:
    heard = _heard((frame, True))
    assert heard.began == set() and heard.answered == set()
