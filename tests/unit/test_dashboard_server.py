"""The server of the dashboard's page: for this machine alone, whatever becomes of the page."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from sealift.errors import SealiftError
from sealift.watch.page import policy
from sealift.watch.server import ADDRESS, server


@contextmanager
def serving(make: Callable[[], bytes], fresh_s: float = 0) -> Iterator[int]:
    with server(make, 0, policy(), fresh_s) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made.server_address[1]
        finally:
            made.shutdown()
            thread.join()


def ask(port: int, method: str, path: str, *hosts: str) -> tuple[int, bytes, Mapping[str, str]]:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for host in hosts:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def test_the_server_answers_this_machine_alone_by_its_own_names() -> None:
    with serving(lambda: b"page") as port:
        assert ask(port, "GET", "/", f"127.0.0.1:{port}")[:2] == (200, b"page")
        assert ask(port, "GET", "/", f"localhost:{port}")[:2] == (200, b"page")
        assert ask(port, "HEAD", "/", f"localhost:{port}")[:2] == (200, b"")
        for wrong in ((f"evil.example:{port}",), ("127.0.0.1",), (), (f"localhost:{port}", "evil.example")):
            assert ask(port, "GET", "/", *wrong)[0] == 403
        for path in ("/x", "/?a", "http://evil.example/"):
            assert ask(port, "GET", path, f"127.0.0.1:{port}")[0] == 404
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            assert ask(port, method, "/", f"127.0.0.1:{port}")[0] == 501


def test_a_browser_may_show_the_page_and_do_nothing_else() -> None:
    with serving(lambda: b"page") as port:
        _, _, headers = ask(port, "GET", "/", f"127.0.0.1:{port}")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_a_page_that_cannot_be_made_is_said_in_words_and_tried_again() -> None:
    made = [b"page"]

    def make() -> bytes:
        if not made:
            return b"again"
        made.pop()
        raise SealiftError("mon: does not answer")

    with serving(make, fresh_s=600) as port:
        assert ask(port, "GET", "/", f"localhost:{port}")[:2] == (503, b"mon: does not answer\n")
        assert ask(port, "GET", "/", f"localhost:{port}")[:2] == (200, b"again")


def test_a_page_that_a_mistake_of_ours_spoils_is_said_in_a_sentence_and_tried_again() -> None:
    made = [b"page"]

    def make() -> bytes:
        return str(1 / len(made)).encode()

    with serving(make) as port:
        made.clear()
        status, said, _ = ask(port, "GET", "/", f"localhost:{port}")
        assert status == 500
        assert said.startswith(b"The page cannot be made: ZeroDivisionError('division by zero'). That is a")
        made.append(b"again")
        assert ask(port, "GET", "/", f"localhost:{port}")[:2] == (200, b"1.0")


def test_a_page_is_made_once_for_all_who_ask_while_it_is_fresh() -> None:
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"page"

    with serving(make, fresh_s=600) as port:
        for _ in range(3):
            ask(port, "GET", "/", f"localhost:{port}")
    assert made == [1]


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SealiftError, match=rf"127\.0\.0\.1:{port}: cannot be listened on .* --port"):
            server(lambda: b"", port, policy(), 0)
