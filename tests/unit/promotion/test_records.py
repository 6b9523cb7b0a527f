"""Records: made of evidence, signed, carried, read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from sealift.cli import promote
from sealift.errors import SealiftError
from sealift.evidence.code import digest_of_code
from sealift.evidence.record import last_evidence, write
from sealift.promotion.kept import take_statement
from sealift.promotion.making import record_of
from sealift.promotion.site import record
from sealift.promotion.statements import parse_statement
from sealift.rollout.events import Began, Ended, Judged
from sealift.rollout.journal import Journal
from tests.unit.promoting import HOSTS, NOW, Promoting, claim
from tests.unit.rollouts import START, opening

ROOT = Path(__file__).parents[3]


def test_a_record_tells_what_was_claimed_and_which_objectives_were_kept(site: Promoting) -> None:
    kept = {
        "answer": "kept: 2.71 s, promised are at most 3.00 s",
        "first token": "kept here: 2.10 s, promised here are at most 9.00 s, by the release 2.00 s",
    }
    results = [claim(host, "docker") for host in HOSTS]
    results += [
        claim(host, "quality", name="test_keeps_its_objectives[chat]", observed=kept) for host in HOSTS
    ]
    said = site.passed(results=tuple(results))
    assert (said.hosts, said.claims) == (2, {"docker": 2, "quality": 2})
    assert said.objectives == {"chat: answer": 2}
    assert said.passed_at == NOW - timedelta(hours=1)


def test_a_record_may_be_of_a_verification_for_each_wave(site: Promoting) -> None:
    whole = site.evidence()
    waves = [
        whole.model_copy(update={"hosts": whole.hosts[n : n + 1], "results": whole.of(host)})
        for n, host in enumerate(HOSTS)
    ]
    assert record_of(HOSTS, waves, NOW) == site.passed()
    with pytest.raises(SealiftError, match="lacks 1 of 2 hosts, h2, expected all of the environment"):
        record_of(HOSTS, waves[:1], NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"results": (claim("h1", "docker", outcome="failed"),)},
            "1 claims failed, the first on h1: It runs.",
        ),
        ({"results": ()}, "lacks 2 of 2 hosts, h1, h2"),
        ({"code": None}, "does not say which code was rolled out"),
    ],
)
def test_no_record_is_made_of_what_did_not_pass(
    changes: dict[str, object], said: str, site: Promoting
) -> None:
    with pytest.raises(SealiftError, match=said):
        site.passed(**changes)


def test_the_newest_evidence_of_each_host_about_the_bundle_counts(site: Promoting) -> None:
    inventory = site.inventory("staging")
    folder = site.folder / "evidence"
    with pytest.raises(SealiftError, match="has no evidence of staging about sha256:"):
        last_evidence(inventory, site.stored.digest)
    whole = site.evidence(verified_at=NOW - timedelta(hours=3), code=None)
    other = site.evidence(bundle=f"sha256:{'c' * 64}", verified_at=NOW)
    waves = [
        site.evidence(
            hosts=whole.hosts[n : n + 1], results=whole.of(host), verified_at=NOW - timedelta(hours=2 - n)
        )
        for n, host in enumerate(HOSTS)
    ]
    for each in (whole, *waves, other):
        write(each, folder)
    found = last_evidence(inventory, site.stored.digest)
    assert [[host.name for host in each.hosts] for each in found] == [["h2"], ["h1"]]
    assert record_of(HOSTS, found, NOW).passed_at == NOW - timedelta(hours=2)


def test_no_record_is_signed_for_hosts_that_did_not_pass_the_gate_with_their_newest_evidence(
    site: Promoting,
) -> None:
    inventory, folder = site.inventory("staging"), site.folder / "evidence"
    write(site.evidence(verified_at=NOW - timedelta(hours=2)), folder)
    name = write(site.evidence(verified_at=NOW - timedelta(hours=1)), folder).name
    with pytest.raises(SealiftError, match=rf"{name}: is of a rollout whose gate h2 did not pass"):
        last_evidence(inventory, site.stored.digest, {(name, "h2")})
    write(site.evidence(verified_at=NOW), folder)  # what a verification found afterwards counts
    assert last_evidence(inventory, site.stored.digest, {(name, "h2")})[0].verified_at == NOW


def test_promote_record_asks_the_journals(site: Promoting, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = site.inventory("staging", key=str(site.key("stage")))
    name = write(site.evidence(), site.folder / "evidence").name
    journal = Journal(site.folder / "rollouts/staging-20261129T110000Z")
    journal.add(opening((("h1", "h2"),)))
    journal.add(Began(at=START, wave=0, phase="verify", hosts=("h1", "h2")))
    journal.add(Ended(at=START, wave=0, phase="verify", seconds=1, evidence=name))
    journal.add(Judged(at=START, wave=0, passed=False, sentence="so"))
    monkeypatch.setattr(promote, "load_inventory", lambda _: inventory)
    with pytest.raises(SealiftError, match=f"{name}: is of a rollout whose gate h1, h2 did not pass"):
        promote.record_("staging")
    assert not (site.folder / "promotions").exists()


def test_a_rollout_signs_its_record_where_the_site_has_a_key(site: Promoting) -> None:
    assert record(site.inventory("staging"), [site.evidence()], NOW) is None
    path = record(site.inventory("staging", key=str(site.key("stage"))), [site.evidence()], NOW)
    assert path is not None and path.name.startswith("20261129T201500Z-record-staging-")
    assert site.verdict(site.inventory(**{"from": ["staging"]})).problems == ()


def test_a_carried_record_is_kept_once_its_signature_is_right(site: Promoting, tmp_path: Path) -> None:
    site.say(site.passed(), "stage")
    stick = tmp_path / "stick"
    shutil.move(site.folder / "promotions", stick)
    (path,) = stick.glob("*.json")
    inventory = site.inventory(**{"from": ["staging"]})
    assert site.verdict(inventory).problems
    taken = take_statement(path, site.folder / "signers", site.folder / "promotions")
    again = take_statement(path, site.folder / "signers", site.folder / "promotions")
    assert taken == again and taken.path.name == path.name
    assert site.verdict(inventory).problems == ()
    path.write_bytes(path.read_bytes().replace(b'"hosts": 2', b'"hosts": 9'))
    with pytest.raises(SealiftError, match="but not with this content"):
        take_statement(path, site.folder / "signers", site.folder / "more")
    assert not (site.folder / "more").exists()


def test_the_digest_of_the_code_is_had_by_hand_as_the_docs_say() -> None:
    page = (ROOT / "docs/promotion.md").read_text()
    command = "".join(re.findall(r"^    (\{ ls config\.py.*\n.*sha256sum)$", page, re.MULTILINE))
    ran = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"sha256:{ran.stdout.split()[0]}" == digest_of_code(ROOT)


def test_the_digest_of_the_code_is_another_one_where_a_file_is(tmp_path: Path) -> None:
    for name in ("config.py", "deploy.py", "sealift/a.py", "sealift/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    first = digest_of_code(tmp_path)
    (tmp_path / "sealift/__pycache__/a.pyc").write_text("2")
    assert digest_of_code(tmp_path) == first
    (tmp_path / "sealift/a.py").rename(tmp_path / "sealift/b.py")
    assert digest_of_code(tmp_path) != first


def test_no_statement_has_a_word_that_moves_a_cursor(site: Promoting) -> None:
    good = json.loads(site.passed().model_dump_json())
    for key, value in (("by", "a\x1b[2J"), ("by", "a\nb"), ("environment", "../x"), ("release", "x")):
        with pytest.raises(SealiftError, match=f"record.{key}"):
            parse_statement(json.dumps({**good, key: value}).encode(), "FILE")
