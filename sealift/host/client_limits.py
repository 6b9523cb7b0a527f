"""What each client of a gateway may take: limits of its own, and the site's where it has none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field

from sealift.host.settings import SiteSettings
from sealift.release.values import Frozen

# Forms of asking, each with its calls: templates/gateway/guard/rules.lua.
Api = Literal["native", "openai", "anthropic", "embeddings"]
APIS: tuple[Api, ...] = get_args(Api)
_MOST = 1_000_000_000  # Envoy counts in 32 bits
Tokens = Annotated[int, Field(ge=1, le=10**15)]


class ClientLimits(Frozen):
    """A client's own limits. The site's holds where one is not given.

    + requests_per_minute: beyond it, 429
    + context: tokens of its longest prompt; never more than models are loaded with
    + body_mib: MiB of its largest request; never more than the site's
    + streams: requests that a host works on at once
    + tokens_per_minute, tokens_per_day, tokens_per_month: that a host gives it, in UTC; beyond them, 429. A
      site sets none
    + paths: forms in which it may ask; all of them where this is empty
    """

    requests_per_minute: Annotated[int, Field(ge=1, le=_MOST)] | None = None
    context: Annotated[int, Field(ge=1, le=_MOST)] | None = None
    body_mib: Annotated[int, Field(ge=1, le=1024)] | None = None
    streams: Annotated[int, Field(ge=1, le=1000)] | None = None
    tokens_per_minute: Tokens | None = None
    tokens_per_day: Tokens | None = None
    tokens_per_month: Tokens | None = None
    paths: tuple[Api, ...] = ()

    @property
    def budget(self) -> dict[str, int]:
        """Its tokens by period, `minute`, `day` and `month`, as far as they are limited."""
        every = {
            "minute": self.tokens_per_minute,
            "day": self.tokens_per_day,
            "month": self.tokens_per_month,
        }
        return {period: tokens for period, tokens in every.items() if tokens}


@dataclass(frozen=True)
class Share:
    """What a client may take of a host: as ClientLimits, with nothing left open but tokens.

    + queue: requests that wait for those in work; further ones get 503
    """

    requests_per_minute: int
    context: int
    body_mib: int
    streams: int
    queue: int
    tokens_per_minute: int | None
    tokens_per_day: int | None
    tokens_per_month: int | None
    paths: tuple[Api, ...]


def share_of(limits: ClientLimits, settings: SiteSettings) -> Share:
    """What holds for a client on a host.

    + settings: in force on the host
    """
    gateway, ollama = settings.gateway, settings.ollama
    return Share(
        requests_per_minute=limits.requests_per_minute or gateway.requests_per_minute,
        context=min(limits.context or ollama.context_length, ollama.context_length),
        body_mib=min(limits.body_mib or gateway.max_request_mib, gateway.max_request_mib),
        streams=limits.streams or ollama.num_parallel,
        queue=gateway.queue,
        tokens_per_minute=limits.tokens_per_minute,
        tokens_per_day=limits.tokens_per_day,
        tokens_per_month=limits.tokens_per_month,
        paths=in_order(limits.paths or APIS),
    )


def in_order(paths: Iterable[Api]) -> tuple[Api, ...]:
    """Forms of asking, each once."""
    named = set(paths)
    return tuple(api for api in APIS if api in named)


def form_of(path: str) -> Api:
    """The form of asking that a call with a body is of."""
    if "/embed" in path:
        return "embeddings"
    if path == "/v1/messages":
        return "anthropic"
    return "openai" if path.startswith("/v1/") else "native"
