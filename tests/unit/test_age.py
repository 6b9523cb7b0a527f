"""Older and expired releases at import: freeze and replay."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sealift.__main__ import main
from sealift.bundle.build import build
from sealift.content import digest_of
from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.oci.layout import read_index
from sealift.progress import silent
from sealift.promotion.kept import sign_statement
from sealift.promotion.making import override_of
from sealift.release.age import Excuse, expired, expires_soon
from sealift.release.parse import load_release
from tests.unit import samples, tiny
from tests.unit.samples import Site
from tests.unit.small_bundle import import_small
from tests.unit.test_release_file import GOOD

YESTERDAY = datetime.now(UTC).date() - timedelta(days=2)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    return tiny.site(tmp_path)


def _built(site: Site, version: str, expires: date | None = None) -> Path:
    out = site.sources.parent / version
    release = site.lock.release.model_copy(update={"version": version, "expires": expires})
    build(site.lock.model_copy(update={"release": release}), site.sources, out, site.key, silent)
    return out


def test_media_of_an_older_release_are_refused_once_a_newer_one_is_there(site: Site, tmp_path: Path) -> None:
    import_small(site, _built(site, "2026.12.0"))
    older = _built(site, "2026.12.0-rc1")
    with pytest.raises(SealiftError) as error:
        import_small(site, older)
    assert str(error.value) == (
        f"{tmp_path}/depot: has demo:2026.12.0, which is newer than demo:2026.12.0-rc1, expected none "
        "that is. Hosts go back by sealift rollback; to take the older one in spite of that, "
        "have it overridden: sealift promote override --help\nNothing was imported."
    )
    assert list(Depot(tmp_path / "depot").releases()) == ["demo:2026.12.0"]


def test_what_the_depot_had_before_is_taken_again_to_mend_it(site: Site, tmp_path: Path) -> None:
    older = _built(site, "2026.11.1")
    import_small(site, older)
    import_small(site, _built(site, "2026.12.0"))
    Depot(tmp_path / "depot").pointer("demo", "2026.11.1").unlink()
    import_small(site, older)
    assert len(Depot(tmp_path / "depot").releases()) == 2


def test_a_release_past_its_last_day_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SealiftError, match=f"demo:2026.12.0: expired on {YESTERDAY}, expected one that is"):
        import_small(site, _built(site, "2026.12.0", YESTERDAY))
    assert Depot(tmp_path / "depot").releases() == {}


def test_a_release_is_good_to_the_end_of_its_last_day() -> None:
    release = samples.release(expires="2026-11-29")
    assert list(expired(release, datetime(2026, 11, 29, 23, 59, tzinfo=UTC))) == []
    assert list(expired(release, datetime(2026, 11, 30, 0, 0, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("lets", "who", "of", "taken"),
    [
        ([Excuse.OLDER, Excuse.EXPIRED], "boss", "itself", True),
        ([Excuse.OLDER], "boss", "itself", False),
        ([Excuse.OLDER, Excuse.EXPIRED], "boss", "another", False),
        ([Excuse.OLDER, Excuse.EXPIRED], "signing_key", "itself", False),
    ],
)
def test_a_signed_override_lets_one_bundle_in_and_is_logged(
    lets: list[Excuse],
    who: str,
    of: str,
    taken: bool,
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boss = samples.signing_key(tmp_path / "boss").with_suffix(".pub").read_text()
    site.allowed.write_text(f'{site.allowed.read_text()}boss namespaces="sealift-override" {boss}')
    import_small(site, _built(site, "2026.12.0"))
    bundle = _built(site, "2026.11.1", YESTERDAY)
    digest = f"sha256:{'f' * 64}" if of == "another" else digest_of(read_index(bundle)).digest
    said = override_of("prod", "demo:2026.11.1", digest, lets, "audit of the old one", 1, datetime.now(UTC))
    path = sign_statement(said, tmp_path / who, tmp_path / "said")
    depot = tmp_path / "depot"
    options = ["--depot", str(depot), "--allowed-signers", str(site.allowed), "--override", str(path)]
    monkeypatch.setattr(sys, "argv", ["sealift", "import", str(bundle), *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == (0 if taken else 1)
    assert ("demo:2026.11.1" in Depot(depot).releases()) == taken
    log = tmp_path / "evidence" / "overrides.jsonl"
    assert log.exists() == taken
    if taken:
        assert json.loads(log.read_text())["reason"] == "audit of the old one"


@pytest.mark.parametrize(
    ("expires", "told"),
    [
        (None, ""),
        ("2026-12-30", ""),
        ("2026-12-29", "demo:2026.11.0: expires on 2026-12-29, in 30 days. Bring a newer one."),
        ("2026-11-29", "demo:2026.11.0: expires on 2026-11-29, in 0 days. Bring a newer one."),
        ("2026-11-28", "demo:2026.11.0: expired on 2026-11-28. Hosts that run it go on, no other takes it."),
    ],
)
def test_a_site_is_told_thirty_days_before_its_release_expires(expires: str | None, told: str) -> None:
    release = samples.release(expires=expires)
    found = "".join(expires_soon(release, datetime(2026, 11, 29, 12, tzinfo=UTC)))
    assert found.startswith(told) and bool(found) == bool(told)


@pytest.mark.parametrize("expires", ["2027-05-31", "'2027-05-31'"])
def test_a_release_file_says_its_last_day(expires: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"{GOOD}\nexpires: {expires}\n")
    assert load_release(tmp_path / "r.yaml").expires == date(2027, 5, 31)


@pytest.mark.parametrize("expires", ["20270531", "soon", "2027-05-31 10:00:00", "1999-01-01"])
def test_a_last_day_that_is_none_is_refused(expires: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"{GOOD}\nexpires: {expires}\n")
    with pytest.raises(SealiftError, match=r"r\.yaml: expires: is "):
        load_release(tmp_path / "r.yaml")
