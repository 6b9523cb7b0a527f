"""Who is told of alerts, with their secrets opened: what Alertmanager's configuration is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from sealift.host.alert_settings import EmailSettings


@dataclass(frozen=True)
class Receivers:
    """Who is told. Secret.

    + password: of the mail relay; empty without a login
    + webhook, heartbeat: addresses; they may have a token in them. Empty without
    + ca: PEM; empty where public CAs are believed
    """

    email: EmailSettings | None = None
    password: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)
    heartbeat: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)


NOBODY = Receivers()
