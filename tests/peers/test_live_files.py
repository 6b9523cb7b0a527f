"""The gateway's live files, as they lie on a host, by the real Envoy: each is taken without a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from sealift.services import ALLOWED, GUARD
from sealift.site.secrets import Secrets
from tests.peers.gateway import CLIENTS, ROLE, keys_of
from tests.peers.live_host import Host
from tests.peers.stand_in import Ollama

_KEEP = {"model": ROLE, "keep_alive": 0}
_ALICE, *_OTHERS = CLIENTS


def _secrets(*roles: str) -> Secrets:
    """Of a site where alice may ask for these roles."""
    others = {name: keys_of(name) for name in _OTHERS}
    return Secrets.model_construct(api_keys={_ALICE: keys_of(_ALICE, roles=roles), **others})


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ollama) as upstream:
        upstream.calls = []  # type: ignore[attr-defined]
        threading.Thread(target=upstream.serve_forever, args=(0.05,), daemon=True).start()
        yield Host(tmp_path, upstream.server_address[1])
        upstream.shutdown()


def test_what_may_be_asked_changes_while_it_runs(host: Host, envoy_program: Path) -> None:
    first = host.generation(_secrets("embed"), load_options="ignore")
    with host.running(envoy_program, first) as gateway:
        assert gateway.ask("POST", "/api/chat", _ALICE, json=_KEEP).status_code == 403
        second = host.generation(_secrets("embed", ROLE), load_options="ignore")
        host.place(second, ALLOWED)
        host.takes(second)
        answer = gateway.ask("POST", "/api/chat", _ALICE, json=_KEEP)
        assert (answer.status_code, answer.headers["x-sealift-ignored"]) == (200, "keep_alive")
        third = host.generation(_secrets("embed", ROLE), load_options="refuse")
        host.place(third, GUARD)
        host.takes(third)
        answer = gateway.ask("POST", "/api/chat", _ALICE, json=_KEEP)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("keep_alive: would load or unload the model for everybody.")
