"""From where on something is an alert, and who is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from sealift.release.values import Frozen

# Such as it is written in configurations of mail: one address, no name before it.
Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}$")]


class AlertSettings(Frozen):
    """Thresholds of the alert rules: docs/watch.md has a section for each alert."""

    hold_s: int = Field(
        default=300, ge=0, description="seconds that something must be wrong before its alert fires"
    )
    window_s: int = Field(
        default=900, ge=30, description="seconds of clients' requests that answers and success are taken from"
    )
    answer_s: float = Field(
        default=10, gt=0, description="seconds; 95 % of the answers to clients are complete in less"
    )
    memory_gib: float | None = Field(
        default=None,
        gt=0,
        description="GiB that the runtime may take; without it 95 % of its container's limit counts alone, "
        "or 8 GiB where none is known",
    )
    tokens_per_second: float = Field(default=5, gt=0, description="of each role, when the probe asks it")
    success_percent: float = Field(
        default=95, gt=0, le=100, description="of clients' requests that get an answer other than 5xx"
    )
    disk_free_percent: float = Field(default=10, gt=0, lt=100, description="of each file system")
    disk_full_hours: int = Field(
        default=24, ge=1, description="a file system that is full in less, as it is filling now, is told"
    )
    certificate_days: int = Field(default=14, ge=1, description="days left of a gateway's certificate")
    key_days: int = Field(default=14, ge=1, description="days left of a client's keys")
    clock_s: float = Field(
        default=5, gt=0, description="seconds between a host's clock and that of the host that watches"
    )
    status_hours: int = Field(default=26, ge=1, description="age of what `status --publish` found")
    backup_days: int = Field(default=8, ge=1, description="age of the site's last backup")
    kept_percent: float = Field(
        default=99, gt=0, lt=100, description="of 30 days in which a role keeps each of its objectives"
    )


class EmailSettings(Frozen):
    """Who gets mail, and by which relay. Host names are looked up on the host that watches."""

    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=50)] = Field(
        description="addresses that get it"
    )
    sender: Address = Field(description="address that it is from")
    relay: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$")] = Field(
        description="HOST:PORT of the site's mail relay"
    )
    starttls: bool = Field(
        default=True, description="whether the relay must speak TLS before anything is sent"
    )
    user: str = Field(
        default="", max_length=254, description="that logs in to the relay; empty is without a login"
    )
    password: Path | None = Field(
        default=None, description="file of its password, mode 0600, on the control node"
    )

    @model_validator(mode="after")
    def _login(self) -> EmailSettings:
        if bool(self.user) != bool(self.password):
            raise ValueError("expected user and password, or neither")
        return self


class ReceiverSettings(Frozen):
    """Who is told of alerts, beside the file that every watching host keeps of them."""

    email: EmailSettings | None = Field(default=None, description="mail, by a relay of the site's")
    webhook: Path | None = Field(
        default=None,
        description="file with the address that gets Alertmanager's JSON, mode 0600, on the control node",
    )
    heartbeat: Path | None = Field(
        default=None,
        description="file with the address that gets a sign of life every minute, mode 0600, as above",
    )
    ca: Path | None = Field(
        default=None, description="PEM of the CA of relay and addresses; without it, public ones are believed"
    )
