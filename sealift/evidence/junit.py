"""JUnit XML: as pytest writes it for one host, and as the evidence of a whole fleet has it.

Format: pytest's `junit_family=xunit2`, https://docs.pytest.org/en/stable/how-to/output.html
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from sealift.errors import SealiftError
from sealift.evidence.types import ClaimResult, Evidence

_SENTENCE = "claim"  # the property in which tests/hosts/conftest.py leaves a test's docstring
_DETAIL_LINES = 15
_DETAIL_CHARACTERS = 2000
# How pytest reports that what a test needs could not be had.
_SETUP = re.compile(r'failed on setup with "(.*)"', re.DOTALL)
# What XML 1.0 cannot hold, not even escaped; a host's output may have it.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(content: bytes, host: str) -> tuple[ClaimResult, ...]:
    """Read the outcome of each claim from what pytest wrote for one host.

    + content: the XML
    + host: whose claims these are

    A claim that failed and whose clean-up failed too is there once, failed; a skipped one has failed.
    Raises SealiftError for XML that pytest did not write.
    """
    try:
        text = content.decode()  # pytest's encoding, whatever the report says: so a document type shows
        if "<!DOCTYPE" in text:
            raise SealiftError(f"{host}: the test report has a document type, expected none. Verify again.")
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise SealiftError(f"{host}: the test report is not XML ({error}). Verify again.") from None
    results: dict[tuple[str, str], ClaimResult] = {}
    for case in root.iter("testcase"):
        try:
            result = _claim(case, host)
        except ValueError:  # a time that is no number, or before the beginning
            raise SealiftError(f"{host}: the test report is not pytest's. Verify again.") from None
        earlier = results.get(result.key)
        if earlier is None or earlier.outcome == "passed":
            results[result.key] = result
    return tuple(results.values())


def _claim(case: ElementTree.Element, host: str) -> ClaimResult:
    name, module = case.get("name", ""), case.get("classname", "")
    if not module:  # a file that could not be imported
        module, name = name, "is collected"
    properties = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
    sentence = properties.pop(_SENTENCE, name)
    trouble = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
    return ClaimResult(
        host=host,
        area=module.rpartition(".")[2].removeprefix("test_"),
        name=name,
        claim=sentence,
        outcome="passed" if trouble is None else "failed",
        seconds=float(case.get("time", "0")),
        detail="" if trouble is None else _detail(trouble),
        observed=properties,
    )


def _detail(trouble: ElementTree.Element) -> str:
    said = trouble.get("message") or (trouble.text or "").strip() or trouble.tag
    if in_fixture := _SETUP.fullmatch(said):
        said = in_fixture[1]
    said = said.removeprefix("Failed: ").rstrip()
    if trouble.tag == "skipped":
        said = f"was skipped: {said}"
    lines = said.splitlines()
    kept = "\n".join(lines[:_DETAIL_LINES])[:_DETAIL_CHARACTERS]
    return kept if kept == said else f"{kept}\n..."


def render(evidence: Evidence) -> bytes:
    """Write evidence as JUnit XML, one suite per host, for tools that read no other format."""
    failed = len(evidence.failed)
    root = ElementTree.Element(
        "testsuites", name=evidence.inventory, tests=str(len(evidence.results)), failures=str(failed)
    )
    for host in evidence.hosts:
        claims = evidence.of(host.name)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=host.name,
            tests=str(len(claims)),
            failures=str(sum(claim.outcome == "failed" for claim in claims)),
            errors="0",
            time=f"{sum(claim.seconds for claim in claims):.3f}",
            timestamp=evidence.verified_at.isoformat(timespec="seconds"),
            hostname=evidence.verified_on,
        )
        _properties(suite, {"bundle": evidence.bundle, "release": evidence.release, "address": host.address})
        for claim in claims:
            _case(suite, claim)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(suite: ElementTree.Element, claim: ClaimResult) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"{claim.host}.{claim.area}",
        name=claim.name,
        time=f"{claim.seconds:.3f}",
    )
    _properties(case, {_SENTENCE: claim.claim, **claim.observed})
    if claim.outcome == "failed":
        first = claim.detail.partition("\n")[0]
        failure = ElementTree.SubElement(case, "failure", message=_UNPRINTABLE.sub("?", first))
        failure.text = _UNPRINTABLE.sub("?", claim.detail)


def _properties(parent: ElementTree.Element, values: dict[str, str]) -> None:
    properties = ElementTree.SubElement(parent, "properties")
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=name, value=_UNPRINTABLE.sub("?", value))
