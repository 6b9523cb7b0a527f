"""What was found out about a fleet: one outcome per host and claim, tied to the bundle it was found with."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sealift.release.values import Digest, Frozen


class ClaimResult(Frozen):
    """One claim about one host, and whether it held."""

    host: str
    area: str = Field(description="the file of tests/hosts that claims it, without `test_` and `.py`")
    name: str = Field(description="the test, with its parameter in brackets")
    claim: str = Field(description="the claim in words: the test's docstring")
    outcome: Literal["passed", "failed"]
    seconds: float = Field(ge=0)
    detail: str = Field(default="", description="why it failed, in its first lines")
    observed: dict[str, str] = Field(default={}, description="what was seen, e.g. the model's answer")

    @property
    def key(self) -> tuple[str, str]:
        """What the claims of different hosts are matched by."""
        return (self.area, self.name)


class VerifiedHost(Frozen):
    """A host that claims were checked on."""

    name: str
    address: str
    groups: tuple[str, ...]


class Evidence(Frozen):
    """The result of one verification. `evidence.json` is this, as canonical JSON."""

    format: Literal[1] = 1
    inventory: str
    release: str = Field(description="NAME:VERSION")
    bundle: Digest
    verified_at: datetime = Field(description="UTC")
    verified_on: str = Field(description="host name of the control node")
    code: Digest | None = Field(default=None, description="of the deployment code: docs/promotion.md")
    hosts: tuple[VerifiedHost, ...]
    results: tuple[ClaimResult, ...]

    @property
    def failed(self) -> tuple[ClaimResult, ...]:
        """The claims that did not hold, in their order."""
        return tuple(claim for claim in self.results if claim.outcome == "failed")

    @property
    def causes(self) -> tuple[tuple[ClaimResult, ...], ...]:
        """The claims that did not hold, those of a host together that have the same reason."""
        causes: dict[tuple[str, str], list[ClaimResult]] = {}
        for result in self.failed:
            causes.setdefault((result.host, result.detail), []).append(result)
        return tuple(map(tuple, causes.values()))

    @property
    def of_its_hosts(self) -> Evidence:
        """The same without claims about hosts that are not among them."""
        names = {host.name for host in self.hosts}
        results = tuple(claim for claim in self.results if claim.host in names)
        return self.model_copy(update={"results": results})

    def of(self, host: str) -> tuple[ClaimResult, ...]:
        """The claims of one host."""
        return tuple(claim for claim in self.results if claim.host == host)
