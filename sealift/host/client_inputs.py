"""What the templates of gateway and front door need of their clients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.host.client_limits import ClientLimits, Share, share_of
from sealift.host.given import SiteFiles
from sealift.host.settings import SiteSettings
from sealift.services import OLLAMA, STALE_S, USED

CLIENT_HEADER = "x-sealift-client"
UNSENT_HEADER = "x-sealift-unsent"  # of a gateway's 503: no model has got the request
HELD_HEADER = "x-sealift-held"  # how long a request waits, in the gateway alone
FRONT_RETRIES = 3  # of a front door
OLLAMA_PORT = 11434
MIB = 1 << 20  # bytes
MOST_CLIENTS = 100_000  # whose limits Envoy keeps; of more, it would forget those who ask least


@dataclass(frozen=True)
class Client:
    """What the gateway holds a client to.

    + share: what it may take
    + roles: that it may ask for; every one where this is empty
    + paths: forms of asking; every one where this is empty
    + context, body_bytes, requests_per_minute: None where it has none of its own
    + next_request_s: until a request is due again
    + budget: tokens by period, `minute`, `day` and `month`
    """

    share: Share
    roles: tuple[str, ...]
    paths: tuple[str, ...]
    context: int | None
    body_bytes: int | None
    requests_per_minute: int | None
    next_request_s: int
    budget: Mapping[str, int]

    @property
    def restricted(self) -> bool:
        """Whether something of it stands in allowed.yaml."""
        return bool(self.roles or self.paths or self.context or self.body_bytes or self.requests_per_minute)


def clients_values(settings: SiteSettings, site_files: SiteFiles) -> dict[str, object]:
    """What the templates of the gateway's clients get by name.

    + settings: in force on the host
    + site_files: of which the certificate is not looked at
    """
    api_keys, gateway = site_files.api_keys, settings.gateway
    clients = {client: _client(client, settings, site_files) for client in sorted(api_keys)}
    return {
        "client_header": CLIENT_HEADER,
        "unsent_header": UNSENT_HEADER,
        "held_header": HELD_HEADER,
        "retries": FRONT_RETRIES,
        "api_keys": {client: [key.get_secret_value() for key in api_keys[client]] for client in clients},
        "clients": clients,
        "requests_per_minute": gateway.requests_per_minute,
        "next_request_s": _next_request_s(gateway.requests_per_minute),
        "most_clients": MOST_CLIENTS,
        "used": USED,
        "stale_s": STALE_S,
        "upstream_host": OLLAMA.name,
        "upstream_port": OLLAMA_PORT,
    }


def _client(client: str, settings: SiteSettings, site_files: SiteFiles) -> Client:
    own, allowed = site_files.limits.get(client, ClientLimits()), site_files.allowed.get(client, ())
    share = share_of(own, settings)
    return Client(
        share,
        roles=tuple(sorted({role.removesuffix(":latest") for role in allowed})),
        paths=share.paths if own.paths else (),
        context=own.context,
        body_bytes=share.body_mib * MIB if own.body_mib else None,
        requests_per_minute=own.requests_per_minute,
        next_request_s=_next_request_s(share.requests_per_minute),
        budget=own.budget,
    )


def _next_request_s(requests_per_minute: int) -> int:
    """The bucket fills evenly, not once a minute."""
    return math.ceil(60 / requests_per_minute)
