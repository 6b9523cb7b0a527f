"""What the gateway says where it answers itself: in the form of the API that was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sealift.host.settings import GatewaySettings

# Envoy asks Ollama's health every five seconds, and goes by the first good answer: see envoy.yaml.j2.
_HEALTHY_AGAIN_S = 5
_ROOM_AGAIN_S = 5  # a guess: there is room once an answer has ended
_OVERFLOW = "UO"  # Envoy's flag of a request that found its client's queue full
_NOT_REACHED = "UF, UH"  # and of one for which there was no connection, or no host
_REQUEST_ID = "%REQ(x-request-id)%"
_NAMED = f"Request {_REQUEST_ID}."
_BUDGET = "sealift.budget"  # what templates/gateway/budget.lua notes in
_OF_BUDGETS = f"%DYNAMIC_METADATA({_BUDGET}:refused)% {_NAMED}"
_MINUTE = "sealift.minute"  # the same of a budget that is anew in a minute
_OF_MINUTES = f"%DYNAMIC_METADATA({_MINUTE}:refused)% {_NAMED}"

Body = Mapping[str, object]


@dataclass(frozen=True)
class Refusal:
    """A status that the gateway answers with itself.

    + status: None for every other one that is an error
    + type, code: by which clients tell errors apart; `type` as both vendors name it
    + message: with Envoy's `%OPERATORS%`
    + retry_after_s: seconds; None where to ask again is no use, or where the filter itself says it
    + flag: Envoy's reason, where that matters beside the status: no model has got such a request
    + noted: dynamic metadata whose `refused` says why, where a filter of ours refuses
    """

    status: int | None
    type: str
    code: str | None
    message: str
    retry_after_s: int | None = None
    flag: str | None = None
    noted: str | None = None


@dataclass(frozen=True)
class Reply:
    """A refusal in the form of an API.

    + paths: a regular expression of all that are that API's
    + body: JSON, with Envoy's `%OPERATORS%` in its strings
    + flag, noted: as of the refusal
    """

    paths: str
    status: int | None
    body: Body
    retry_after_s: int | None
    flag: str | None
    noted: str | None


def replies(settings: GatewaySettings, unavailable: str = "Ollama: does not answer now") -> tuple[Reply, ...]:
    """Envoy's own answers: the first holds whose paths and status fit.

    + settings: the gateway's, in force on the host
    + unavailable: what a 503 says
    """
    return tuple(
        Reply(paths, refusal.status, form(refusal), refusal.retry_after_s, refusal.flag, refusal.noted)
        for paths, form in _FORMS
        for refusal in _refusals(settings, unavailable)
    )


def _refusals(settings: GatewaySettings, unavailable: str) -> tuple[Refusal, ...]:
    """Types are those of Anthropic's API, codes those of OpenAI's where it has one.

    Source: https://docs.anthropic.com/en/api/errors, https://platform.openai.com/docs/guides/error-codes.
    """
    return (
        # This one and the last without the request's id: what cannot be read has none.
        Refusal(400, "invalid_request_error", None, "request: cannot be read (%RESPONSE_CODE_DETAILS%)."),
        Refusal(
            401,
            "authentication_error",
            "invalid_api_key",
            "key: none came that holds. Send a client's as Authorization: Bearer KEY, or as x-api-key: KEY. "
            f"{_NAMED}",
        ),
        Refusal(403, "permission_error", "permission_denied", f"request: not open to this client. {_NAMED}"),
        Refusal(
            404,
            "not_found_error",
            "unknown_url",
            "%REQ(:METHOD)% %PATH(NQ)%: no such call here. Ask by POST /api/chat or /v1/chat/completions; "
            f"models come with a release. {_NAMED}",
        ),
        Refusal(
            413,
            "request_too_large",
            "request_too_large",
            f"request: too large, expected {settings.max_request_mib} MiB at most. Send less. {_NAMED}",
        ),
        Refusal(429, "rate_limit_error", "insufficient_quota", _OF_BUDGETS, noted=_BUDGET),
        Refusal(429, "rate_limit_error", "rate_limit_exceeded", _OF_MINUTES, noted=_MINUTE),
        Refusal(503, "api_error", "unavailable", _OF_BUDGETS, noted=_BUDGET),
        Refusal(
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
            f"client: has asked too often. Wait as many seconds as Retry-After says. {_NAMED}",
        ),
        Refusal(
            503,
            "api_error",
            "queue_full",
            "client: has as many requests waiting as it may. Send fewer at once, and wait as many seconds as "
            f"Retry-After says. {_NAMED}",
            _ROOM_AGAIN_S,
            _OVERFLOW,
        ),
        Refusal(
            503,
            "api_error",
            "unavailable",
            f"{unavailable}. Wait as many seconds as Retry-After says. {_NAMED}",
            _HEALTHY_AGAIN_S,
            _NOT_REACHED,
        ),
        Refusal(
            503,
            "api_error",
            "unavailable",
            f"{unavailable}. Wait as many seconds as Retry-After says. {_NAMED}",
            _HEALTHY_AGAIN_S,
        ),
        Refusal(
            504,
            "timeout_error",
            "timeout",
            f"Ollama: has said nothing for {settings.idle_timeout_s} s. Ask for a stream, or for less. "
            f"{_NAMED}",
        ),
        Refusal(None, "api_error", None, "request: not answered (%RESPONSE_CODE_DETAILS%)."),
    )


def _native(refusal: Refusal) -> Body:
    """Source: `StatusError` in `api/types.go` of github.com/ollama/ollama."""
    return {"error": refusal.message}


def _openai(refusal: Refusal) -> Body:
    """Source: `ErrorResponse` in `openai/openai.go` of github.com/ollama/ollama."""
    said = {"message": refusal.message, "type": refusal.type, "param": None, "code": refusal.code}
    return {"error": said}


def _anthropic(refusal: Refusal) -> Body:
    """Source: `ErrorResponse` in `anthropic/anthropic.go` of github.com/ollama/ollama."""
    said = {"type": refusal.type, "message": refusal.message}
    return {"type": "error", "error": said, "request_id": _REQUEST_ID}


# A request that cannot be read has an empty path.
_FORMS: tuple[tuple[str, Callable[[Refusal], Body]], ...] = (
    ("/v1/messages.*", _anthropic),
    ("/v1/.*", _openai),
    (".*", _native),
)
