"""Which calls of Ollama the gateway lets through, by version."""

from __future__ import annotations

import re

import pytest

from sealift.host.routes import ROUTES, routes_of

CLOSED = re.compile(r"/api/(pull|push|create|copy|delete|blobs|me|signout|user|status|experimental)\b")


def _of(tag: str) -> set[str]:
    return {f"{route.method} {route.path}" for route in routes_of(f"docker.io/ollama/ollama:{tag}")}


@pytest.mark.parametrize(
    ("call", "before", "first"),
    [
        ("POST /api/embed", "0.2.5", "0.2.6"),
        ("POST /v1/responses", "0.13.2", "0.13.3"),
        ("POST /v1/messages", "0.13.5", "0.14.0"),
        ("POST /v1/images/generations", "0.14.2", "0.14.3-rocm"),
    ],
)
def test_a_call_is_open_from_its_first_version_on(call: str, before: str, first: str) -> None:
    assert call not in _of(before)
    assert call in _of(first)


def test_a_call_that_ollama_has_no_more_is_closed() -> None:
    assert "POST /v1/images/edits" in _of("0.32.5")
    assert "POST /v1/images/edits" not in _of("0.32.6")


def test_clients_find_what_they_ask_first_and_the_older_calls() -> None:
    assert _of("0.11.4") == {
        *("GET /", "HEAD /", "GET /api/version", "HEAD /api/version", "GET /api/tags", "HEAD /api/tags"),
        *("GET /api/ps", "POST /api/show", "POST /api/generate", "POST /api/chat", "POST /api/embed"),
        *("POST /api/embeddings", "GET /v1/models", "GET /v1/models/{name}", "POST /v1/chat/completions"),
        *("POST /v1/completions", "POST /v1/embeddings"),
    }


@pytest.mark.parametrize("tag", ["latest", "0.11", "nightly-1"])
def test_of_an_unknown_version_all_calls_are_open(tag: str) -> None:
    assert len(_of(tag)) == len(ROUTES)


def test_nothing_that_changes_models_or_leads_to_a_cloud_is_open() -> None:
    assert [route for route in ROUTES if CLOSED.match(route.path)] == []
    assert {route.method for route in ROUTES} == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/v1/models/chat", True),
        ("/v1/models/gemma3:270m-it_q4.0", True),
        ("/v1/models/", False),
        ("/v1/models/chat/files", False),
        ("/v1/models/a%2Fb", False),
        ("/v1xmodels/chat", False),
    ],
)
def test_a_name_is_one_part_of_a_path(path: str, passes: bool) -> None:
    (named,) = (route.regex for route in ROUTES if route.regex)
    assert bool(re.fullmatch(named, path)) is passes
