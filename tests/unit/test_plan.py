"""What a dry run shows: every line that would change, and no secret."""

from __future__ import annotations

from itertools import chain

from sealift.drift.plan import diffs, hidden, texts
from sealift.facts.docker import DAEMON_JSON
from sealift.host_paths import CURRENT
from tests.unit.fleet_site import SITE_FILES, wanted

KEYS, COMPOSE, KEY = (
    f"{CURRENT}/{name}" for name in ("gateway/live/keys.yaml", "ollama/compose.yaml", "gateway/live/tls.yaml")
)


def test_a_changed_setting_is_shown_as_lines_of_the_file() -> None:
    before, after = texts(wanted()), texts(wanted(ollama={"keep_alive": "1h"}))
    (shown,) = [diff for diff in diffs(before, after) if COMPOSE in diff]
    assert '-      OLLAMA_KEEP_ALIVE: "24h"' in shown and '+      OLLAMA_KEEP_ALIVE: "1h"' in shown
    assert not [diff for diff in diffs(before, after) if KEYS in diff]


def test_a_file_that_is_not_there_is_shown_whole() -> None:
    (shown,) = [diff for diff in diffs({}, texts(wanted())) if COMPOSE in diff]
    assert shown.startswith(f"--- /dev/null\n+++ {COMPOSE}\n") and "+name: sealift-ollama" in shown


def test_no_secret_is_shown() -> None:
    shown = "\n".join((*texts(wanted()).values(), *diffs({}, texts(wanted()))))
    for key in chain.from_iterable(SITE_FILES.api_keys.values()):
        assert key.get_secret_value() not in shown
    assert 'client: "billing", key: ***' in shown
    assert texts(wanted())[KEY] == "***\n"
    old = b'                        - {client: "x", key: "an-old-key-of-24-characters"}\n'
    assert "an-old-key" not in hidden(KEYS, old)


def test_a_proxys_login_is_not_shown() -> None:
    proxies = {"http-proxy": "http://me:pass@proxy.lan:3128", "no-proxy": "10.0.0.0/8"}
    shown = texts(wanted(docker={"proxies": proxies}))[DAEMON_JSON]
    assert '"http://***@proxy.lan:3128"' in shown and "pass@" not in shown
