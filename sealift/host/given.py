"""What a host's configuration is made of, beside its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from sealift.host.client_limits import ClientLimits
from sealift.host.fleet import ALONE, Fleet
from sealift.host.receivers import NOBODY, Receivers
from sealift.release.locked import Lock
from sealift.release.roles import Answers, names_answered
from sealift.service import Service


@dataclass(frozen=True)
class SiteFiles:
    """What the site keeps beside its inventory, opened on the control node. Secret.

    + api_keys: of the gateway, by client; a client may have several
    + certificate: PEM, of the host's gateway
    + key: PEM, of the certificate
    + allowed: roles by client; a client that is not there may ask for every role
    + limits: by client; for one that is not there the site's hold
    + ca: PEM, that the certificates of all hosts are of
    + monitor_certificate, monitor_key: PEM, by which a host that watches reads the figures of all
    + receivers: who is told of alerts
    + rules: the site's own, of alerts
    """

    api_keys: Mapping[str, tuple[SecretStr, ...]] = field(repr=False)
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, ClientLimits] = field(default_factory=dict, repr=False)
    ca: bytes = b""
    monitor_certificate: bytes = b""
    monitor_key: bytes = field(default=b"", repr=False)
    receivers: Receivers = NOBODY
    rules: bytes = b""


@dataclass(frozen=True)
class Served:
    """What a host serves.

    + lock: what its release pins
    + bundle: digest of the bundle that brought the lock
    + host: its name in the inventory
    + groups: of the host in the inventory
    + answers: which models answer the roles there
    + fleet: what it has to know of others
    """

    lock: Lock
    bundle: str
    host: str
    groups: frozenset[str]
    answers: Answers
    fleet: Fleet = ALONE

    @property
    def names(self) -> tuple[str, ...]:
        """By which clients may ask there."""
        return names_answered(self.lock, self.groups, self.answers)

    @property
    def services(self) -> tuple[Service, ...]:
        """What runs there."""
        return self.lock.release.services_for(self.groups)
