"""How a host is shipped to. No table, for a host may have one of these beside its name, and not all."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from sealift.release.values import Frozen
from sealift.sizes import parse_binary

Address = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9:][A-Za-z0-9.:-]{0,252})?$")]
Rate = Annotated[str, StringConstraints(pattern=r"^([1-9][0-9]{4,11}|[1-9][0-9]{0,3}[MG])?$")]


class ShipSettings(Frozen):
    """Of a host that others pass a release on to, and how much of the network that may take."""

    ship_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="TCP, on its ship_address, that another host sends a release to while it is shipped in a"
        " chain. 0: it comes from the control node alone",
    )
    ship_address: Address = Field(
        default="",
        description="address of the host that other hosts reach it at, and that it listens on; empty is its"
        " HostName in the ssh_config",
    )
    ship_rate: Rate = Field(
        default="",
        description="bytes per second that the host takes at most, and gives to another host: 20M is 20 MiB;"
        " empty is no limit",
    )
    ship_rate_total: Rate = Field(
        default="",
        description="bytes per second that the control node sends at most, to all hosts together; empty is no"
        " limit",
    )

    @property
    def rate(self) -> int:
        """`ship_rate` as a number; 0 is no limit."""
        return parse_binary(self.ship_rate) or 0

    @property
    def rate_total(self) -> int:
        """`ship_rate_total` as a number; 0 is no limit."""
        return parse_binary(self.ship_rate_total) or 0
