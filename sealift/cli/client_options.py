"""What a client may ask for and take, as options of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from sealift.cli.console import complain
from sealift.clients.known_roles import roles_warning
from sealift.host.client_limits import APIS
from sealift.site.clients import TERMS
from sealift.site.inventory import Inventory
from sealift.site.secrets import ClientKeys

Roles = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="ROLE", help="That it may ask for; repeat for more."),
]
Paths = Annotated[
    list[str] | None,
    typer.Option(
        "--path",
        metavar="FORM",
        help=f"In which it may ask; repeat for more. One of: {', '.join(APIS)}.",
    ),
]
Requests = Annotated[int | None, typer.Option("--requests-per-minute", metavar="N", help="Beyond it, 429.")]
Context = Annotated[int | None, typer.Option(metavar="TOKENS", help="Of its longest prompt.")]
Body = Annotated[int | None, typer.Option("--body-mib", metavar="MIB", help="Of its largest request.")]
Streams = Annotated[int | None, typer.Option(metavar="N", help="Requests that Ollama has of it at once.")]
TokensPerMinute = Annotated[
    int | None, typer.Option(metavar="N", help="That each host gives it. Beyond them, 429.")
]
TokensPerDay = Annotated[int | None, typer.Option(metavar="N", help="The same by day, in UTC.")]
TokensPerMonth = Annotated[int | None, typer.Option(metavar="N", help="The same by calendar month.")]
Clear = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHAT",
        help="Take its own away: the site's holds again. Repeat for more. One of: "
        f"{', '.join(TERMS).replace('_', '-')}.",
    ),
]


def named_terms(
    roles: list[str] | None,
    paths: list[str] | None,
    requests_per_minute: int | None,
    context: int | None,
    body_mib: int | None,
    streams: int | None,
    tokens_per_minute: int | None,
    tokens_per_day: int | None,
    tokens_per_month: int | None,
) -> dict[str, object]:
    """Those that were named."""
    every = {
        "roles": roles or None,
        "paths": paths or None,
        "requests_per_minute": requests_per_minute,
        "context": context,
        "body_mib": body_mib,
        "streams": streams,
        "tokens_per_minute": tokens_per_minute,
        "tokens_per_day": tokens_per_day,
        "tokens_per_month": tokens_per_month,
    }
    return {name: value for name, value in every.items() if value is not None}


def check_roles(site: Inventory, client: str, roles: list[str] | None) -> None:
    """Warn where it is not known whether the site has roles. Raises SealiftError where it has not."""
    if warning := roles_warning(site, client, roles or ()):
        complain(f"warning: {warning}")


def own_terms(keys: ClientKeys) -> str:
    """A client's own, in words; empty where it has none."""
    own = {name: value for name in TERMS if (value := getattr(keys, name))}
    return "; ".join(
        f"{name} {', '.join(value) if isinstance(value, tuple) else value}" for name, value in own.items()
    )
