"""What a hostile client sends: for gateways on loopback, and for those of hosts."""

from __future__ import annotations

import contextlib
import resource
import ssl
from collections.abc import Iterator

_BODY = '{"model":"chat"}'
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_INNER = "POST /api/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
_SIXTEEN = "Content-Length: 16"
_MIB = 1 << 20


def head(key: str) -> str:
    """The start of a request with a key."""
    return f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nx-api-key: {key}\r\n"


def smuggled(key: str) -> dict[str, str]:
    """Requests that two readers take for different ones, by what is wrong with them."""
    begins = head(key)
    return {
        "two lengths": f"{begins}Content-Length: 16\r\nContent-Length: 0\r\n\r\n{_BODY}",
        "two lengths in one": f"{begins}Content-Length: 16, 0\r\n\r\n{_BODY}",
        "a length and chunks": f"{begins}Content-Length: 4\r\n{_CHUNKED}\r\n0\r\n\r\n{_INNER}",
        "an encoding nobody knows": f"{begins}Transfer-Encoding: xchunked\r\n{_SIXTEEN}\r\n\r\n{_BODY}",
        "two encodings": f"{begins}{_CHUNKED}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n{_INNER}",
        "a space before a colon": f"{begins}Content-Length : 16\r\n\r\n{_BODY}",
        "a length that is none": f"{begins}Content-Length: +16\r\n\r\n{_BODY}",
        "a length below zero": f"{begins}Content-Length: -1\r\n\r\n{_BODY}",
        "a chunk of no size": f"{begins}{_CHUNKED}\r\nx\r\n{_BODY}\r\n0\r\n\r\n",
        "a chunk of too large a size": f"{begins}{_CHUNKED}\r\n{'f' * 17}\r\n{_BODY}\r\n0\r\n\r\n",
        "a null in a header": f"{begins}X-Note: a\0b\r\nContent-Length: 16\r\n\r\n{_BODY}",
    }


def made_plain(key: str) -> dict[str, str]:
    """Requests with a length within another header, which Envoy passes on as one line."""
    ends = f"Content-Length: 0\r\nContent-Length: 16\r\n\r\n{_BODY}"
    return {
        "a folded line": f"{head(key)}X-Note: a\r\n {ends}",
        "a bare carriage return": f"{head(key)}X-Note: a\r{ends}",
    }


def read_all(connection: ssl.SSLSocket) -> bytes:
    """What comes until the connection ends, or nothing has come for two seconds."""
    connection.settimeout(2)
    said = b""
    with contextlib.suppress(TimeoutError, ConnectionError, ssl.SSLError):
        while part := connection.recv(65536):
            said += part
    return said


def until_the_end(connection: ssl.SSLSocket) -> bytes:
    """What comes until the other side ends the connection. Raises TimeoutError where it does not."""
    connection.settimeout(20)
    said = b""
    while part := connection.recv(4096):
        said += part
    return said


def endless(connection: ssl.SSLSocket, key: str, chunked: bool) -> bytes:
    """Send a body of 1 GiB as far as it is taken; what is said of it."""
    part = b"x" * _MIB
    part = f"{len(part):x}\r\n".encode() + part + b"\r\n" if chunked else part
    length = _CHUNKED if chunked else f"Content-Length: {1 << 30}\r\n"
    connection.sendall(f"{head(key)}{length}\r\n".encode())
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        for _ in range(1024):
            connection.sendall(part)
    return read_all(connection)


@contextlib.contextmanager
def many_files() -> Iterator[None]:
    """Let this process have several thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
