"""From pytest's report to the evidence on disk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sealift.errors import SealiftError
from sealift.evidence import junit, page, record
from sealift.evidence.types import ClaimResult, Evidence, VerifiedHost
from sealift.files import read_limited

REPORT = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="5" time="3.2">
<testcase classname="tests.hosts.test_gateway" name="test_a_role_answers[chat]" time="2.5">
  <properties>
    <property name="claim" value="A role answers (chat)."/>
    <property name="answer" value="Paris &lt;b&gt;"/>
  </properties>
</testcase>
<testcase classname="tests.hosts.test_listeners" name="test_nothing_else" time="0.2">
  <properties><property name="claim" value="Nothing else listens."/></properties>
  <failure message="AssertionError: tcp 0.0.0.0:111&#10;second line">trace</failure>
</testcase>
<testcase classname="tests.hosts.test_a" name="test_twice" time="0.1"><failure message="first"/></testcase>
<testcase classname="tests.hosts.test_a" name="test_twice" time="0.1"><error message="clean-up"/></testcase>
<testcase classname="tests.hosts.test_gpu" name="test_left" time="0"><skipped message="no GPU"/></testcase>
<testcase classname="" name="tests.hosts.test_broken" time="0"><error message="collection"/></testcase>
</testsuite></testsuites>"""
CASE = '<testcase classname="a.test_b" name="c" time="0"><failure message="{}"/></testcase>'


def _evidence(*claims: ClaimResult) -> Evidence:
    return Evidence(
        inventory="lab",
        release="demo:1.0",
        bundle="sha256:" + "ab" * 32,
        verified_at=datetime(2026, 11, 21, 12, 30, 5, tzinfo=UTC),
        verified_on="control",
        hosts=tuple(
            VerifiedHost(name=name, address=f"10.9.0.{n}", groups=("all",))
            for n, name in enumerate(("h1", "h2"))
        ),
        results=claims,
    )


def _claim(host: str, outcome: str = "passed", **more: object) -> ClaimResult:
    values = {
        "host": host,
        "area": "docker",
        "name": "test_docker_runs",
        "claim": "Docker runs.",
        "seconds": 1,
    }
    return ClaimResult.model_validate({**values, "outcome": outcome, **more})


def test_report_of_pytest_becomes_claims() -> None:
    claims = {claim.key: claim for claim in junit.parse(REPORT, "h1")}
    assert claims["gateway", "test_a_role_answers[chat]"] == ClaimResult(
        host="h1",
        area="gateway",
        name="test_a_role_answers[chat]",
        claim="A role answers (chat).",
        outcome="passed",
        seconds=2.5,
        observed={"answer": "Paris <b>"},
    )
    assert claims["listeners", "test_nothing_else"].detail == "AssertionError: tcp 0.0.0.0:111\nsecond line"
    assert claims["a", "test_twice"].detail == "first"
    assert claims["gpu", "test_left"].detail == "was skipped: no GPU"
    assert claims["broken", "is collected"].detail == "collection"
    assert [c.outcome for c in claims.values()] == ["passed", "failed", "failed", "failed", "failed"]


@pytest.mark.parametrize("content", [b"<testsuites>", b'<!DOCTYPE x [<!ENTITY a "b">]><x/>'])
def test_report_that_pytest_did_not_write_is_refused(content: bytes) -> None:
    with pytest.raises(SealiftError, match=r"^h1: the test report "):
        junit.parse(content, "h1")


def test_long_detail_is_cut() -> None:
    failure = "&#10;".join(f"line {n}" for n in range(99))
    (claim,) = junit.parse(CASE.format(failure).encode(), "h1")
    assert claim.detail.splitlines()[-2:] == ["line 14", "..."]


def test_junit_has_a_suite_per_host_and_names_the_bundle() -> None:
    evidence = _evidence(_claim("h1"), _claim("h2", "failed", detail="stopped\x1b[0m"))
    root = ElementTree.fromstring(junit.render(evidence))  # noqa: S314 - written above
    assert [(s.get("name"), s.get("tests"), s.get("failures")) for s in root] == [
        ("h1", "1", "0"),
        ("h2", "1", "1"),
    ]
    assert [p.get("value") for p in root.iterfind("testsuite/properties/property[@name='bundle']")] == [
        evidence.bundle
    ] * 2
    assert [f.text for f in root.iter("failure")] == ["stopped?[0m"]


def test_page_escapes_what_hosts_said_and_needs_nothing_from_elsewhere() -> None:
    said = "<script>alert(1)</script>"
    evidence = _evidence(_claim("h1", observed={"answer": said}), _claim("h2", "failed", detail=said))
    text = page.render(evidence).decode()
    assert said not in text
    assert text.count("&lt;script&gt;alert(1)") == 2
    assert evidence.bundle in text
    for outside in ("http:", "https:", "src=", "href=", "@import", "url("):
        assert outside not in text


def test_page_shows_where_a_claim_is_not_made() -> None:
    assert "not claimed about this host" in page.render(_evidence(_claim("h2"))).decode()


def test_evidence_is_written_whole_and_latest_points_at_it(tmp_path: Path) -> None:
    first = record.write(_evidence(_claim("h1")), tmp_path)
    assert first == tmp_path / "lab-20261121T123005Z-abababababab"
    assert sorted(p.name for p in first.iterdir()) == ["evidence.html", "evidence.json", "evidence.xml"]
    later = _evidence(_claim("h1", "failed")).model_copy(
        update={"verified_at": datetime(2027, 1, 1, tzinfo=UTC)}
    )
    second = record.write(later, tmp_path)
    assert (tmp_path / "latest").resolve() == second
    assert {p.name for p in tmp_path.iterdir()} == {"latest", first.name, second.name}
    assert Evidence.model_validate_json(read_limited(second / "evidence.json", 10**6)) == later


def test_equal_evidence_gives_equal_bytes(tmp_path: Path) -> None:
    one, two = (record.write(_evidence(_claim("h1")), tmp_path / n) / "evidence.json" for n in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_claims_that_fail_for_one_reason_stand_together() -> None:
    gone = {"outcome": "failed", "detail": "does not answer"}
    evidence = _evidence(
        _claim("h1", name="a", **gone), _claim("h1", name="b", **gone), _claim("h2", name="a", **gone)
    )
    assert [[(c.host, c.name) for c in cause] for cause in evidence.causes] == [
        [("h1", "a"), ("h1", "b")],
        [("h2", "a")],
    ]
    assert "2 claims fail for one reason" in page.render(evidence).decode()
