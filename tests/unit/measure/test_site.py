"""Which roles of which hosts are measured, and as whom."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from sealift.depot.store import StoredRelease
from sealift.errors import SealiftError
from sealift.fleet.survey import Target
from sealift.measure import site
from sealift.measure.bandwidth import Bandwidth
from sealift.measure.run import Found, Run, Subject, Wanted
from sealift.measure.site import measure, ready
from sealift.site.inventory import Host
from sealift.site.secrets import ClientKeys, Secrets
from sealift.ssh import Ssh
from tests.unit.fleet_site import BUNDLE, MODEL, lock, site_settings

SECRETS = Secrets(
    api_keys={
        "alice": ClientKeys(keys=(SecretStr("a" * 24),)),
        "bob": ClientKeys(keys=(SecretStr("b" * 24),), roles=("embed",)),
    }
)
STANDING = {"release": "demo:2026.11.0", "bundle": BUNDLE, "roles": {"chat": MODEL}}
WANTED = Wanted((1,), 1, cold=False, rate=0, seconds=1)


@pytest.fixture(autouse=True)
def standing(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """What each host says of itself."""
    said: dict[str, dict[str, object]] = {"h1": dict(STANDING), "h2": dict(STANDING)}
    monkeypatch.setattr(
        Ssh, "run_long", lambda self, _: f"release={json.dumps(said[self.host])}\nfree=1\nend=\n"
    )
    monkeypatch.setattr(site, "open_secrets", lambda *_: SECRETS)
    return said


def targets() -> list[Target]:
    stored = StoredRelease(BUNDLE, lock())
    return [Target(Host(name, frozenset(), site_settings()), stored) for name in ("h1", "h2")]


def test_every_role_of_every_host_is_measured_as_the_client_that_ask_takes() -> None:
    of = ready(targets(), [], None)
    assert [(each.host, each.role, each.model) for each in of.subjects] == [
        ("h1", "chat", MODEL),
        ("h2", "chat", MODEL),
    ]
    assert (of.client, of.release, of.bundle) == ("alice", "demo:2026.11.0", BUNDLE)
    assert {each.key.get_secret_value() for each in of.subjects} == {"a" * 24}
    assert not of.subjects[0].numbers
    assert of.subjects[0].names == (MODEL, "chat:latest")


def test_a_client_is_asked_for_no_role_that_it_may_not_ask_for() -> None:
    with pytest.raises(SealiftError, match="no host here serves that to client bob"):
        ready(targets(), [], "bob")


def test_a_role_that_is_none_is_told_beside_those_that_are() -> None:
    with pytest.raises(SealiftError, match=r"^translate: no host .* one of its roles: chat\.$"):
        ready(targets(), ["translate"], None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"bundle": f"sha256:{'c' * 64}"},
            "h2: runs demo:2026.11.0 of sha256:cccccccccccc, ",
        ),
        ({"bundle": None, "release": None}, "h2: runs no release"),
        ({"roles": {"chat": "other:1b"}}, "h2: serves chat as demo:2026.11.0 does not"),
        ({"roles": {"spy": MODEL}}, "h2: serves spy as demo:2026.11.0 does not"),
    ],
)
def test_a_host_with_another_release_is_refused(
    standing: dict[str, dict[str, object]], changed: dict[str, object], said: str
) -> None:
    standing["h2"] |= changed
    with pytest.raises(SealiftError) as refused:
        ready(targets(), [], None)
    assert said in str(refused.value)


def test_hosts_that_are_to_run_several_releases_are_no_run() -> None:
    first, second = targets()
    other = Target(second.host, StoredRelease(f"sha256:{'c' * 64}", lock()))
    with pytest.raises(SealiftError, match="several releases"):
        ready([first, other], [], None)


def test_what_cannot_be_measured_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def bandwidth(host: Host) -> Bandwidth:
        if host.name == "h1":
            raise SealiftError("h1: does not tell how fast its memory is.")
        return Bandwidth(1e9, "a test")

    measured: list[tuple[str, Bandwidth | None]] = []

    def of_role(self: Run, subject: Subject, bandwidth: Bandwidth | None) -> list[Found]:
        measured.append((subject.host, bandwidth))
        if subject.host == "h1":
            raise SealiftError("h1: chat: 404: no such model")
        return []

    monkeypatch.setattr(site, "bandwidth_of", bandwidth)
    monkeypatch.setattr(Run, "measure", of_role)
    warnings: list[str] = []
    assert list(measure(WANTED, ready(targets(), [], None), lambda _: None, warnings.append)) == []
    assert measured == [("h1", None), ("h2", Bandwidth(1e9, "a test"))]
    assert warnings == ["h1: does not tell how fast its memory is.", "h1: chat: 404: no such model"]
