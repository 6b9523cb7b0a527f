"""A host's answer has text of containers in it, which cannot pass for lines of the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.drift.asking import differences
from sealift.drift.check import Check
from sealift.facts.files import PlainFile
from sealift.fleet.survey import Target, glance
from sealift.host import engine
from tests.unit import promoting

# What str.splitlines() takes for the end of a line, beside the one that is: a container writes any of it.
ENDS = ("\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028")
ASKED = (Check(PlainFile, lambda found: iter((f"stands {found}",)), {"path": "/etc/x"}),)


def _failed(end: str, *lines: str) -> str:
    return engine.line("models:ollama:11434", f"failed chat no{end}{end.join(lines)}{end}")


@pytest.mark.parametrize("end", ENDS)
def test_a_container_adds_nothing_to_a_fact(end: str) -> None:
    there = "sealift-fact=together-0\npath\t/etc/x\tf\troot:root\t644\t1.0\nsealift-fact=end\n"
    hostile = _failed(end, "sealift-fact=together-0", "path\t/etc/x\td\tme:me\t777\t1.0", "sealift-fact=y")
    assert differences(ASKED, f"{hostile}\n{there}") == differences(ASKED, there)
    assert "did not say all" in str(differences(ASKED, _failed(end, "sealift-fact=end")))


def test_an_answer_that_was_cut_off_is_one_that_cannot_be_read() -> None:
    said = "sealift-fact=together-0\npath\t/etc/x\tf\nsealift-fact=end\n"
    assert differences(ASKED, said) == ("PlainFile cannot be read",)


def test_a_container_adds_nothing_to_a_host_store(tmp_path: Path) -> None:
    site = promoting.make(tmp_path)
    target = Target(site.inventory().hosts[0], site.stored)
    blob = target.order.blobs[0]
    hostile = (_failed(end, f"blob {blob.hex} {blob.size} 1.0000000000 444") for end in ENDS)
    said = "\n".join((f"memory={1 << 34}\nroom=\nfree {1 << 40}", *hostile))
    _, found = glance(target, said, None)
    assert found.plan is not None
    assert blob in [item.blob for item in found.plan.items]
