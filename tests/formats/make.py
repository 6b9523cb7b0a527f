"""Makes the fixture of a tag: what this version of the code writes, for those that come after it to read.

    python -m tests.formats.make v0.2.0

Run it on the commit that is to be tagged, and commit `tests/formats/v0.2.0.tar.gz`. The last three stay.
It has some forty kilobytes: a bundle, a depot that has imported it, a host's folder with a generation,
statements, evidence, a journal. All keys in it are made for it, and good for nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.bundle.have_list import write_signed
from sealift.depot.have import have_list
from sealift.depot.store import Depot
from sealift.evidence.record import write
from sealift.host.wanted import Wanted, want
from sealift.progress import silent
from sealift.promotion.making import approval_of, override_of, record_of
from sealift.release.age import Excuse
from sealift.release.roles import first_choices
from sealift.rollout.events import Began, Closed, Ended, Judged, Resumed
from sealift.rollout.journal import Journal
from tests.unit import promoting
from tests.unit.fleet_site import SITE_FILES, site_settings
from tests.unit.promoting import HOSTS, Promoting
from tests.unit.rollouts import START, opening

FOLDER = Path(__file__).parent
INVENTORY = "prod"
GROUPS = frozenset({"llm"})
_KEPT = (
    "allowed_signers",
    "bundle",
    "depot",
    "evidence",
    "have.json",
    "have.json.sig",
    "host",
    "promotions",
    "rollouts",
    "signers",
    "sites",
)


def main(tag: str) -> Path:
    """Make it, and give its path.

    + tag: of the version, such as v0.2.0
    """
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        sys.exit(f"{tag}: is no tag, expected one such as v0.2.0")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = promoting.make(folder)
        _say(site)
        key, have = site.key("stage"), have_list(Depot(folder / "depot"), "tests", silent).have
        write_signed(have, folder / "have.json", key)
        (folder / "sites").write_text(
            f'tests namespaces="sealift-have" {key.with_suffix(".pub").read_text()}'
        )
        write(site.evidence(verified_at=datetime.now(UTC)), folder / "evidence")
        _rollout(folder / "rollouts" / f"{INVENTORY}-20261129T120000Z")
        _host(wanted(site), folder / "host")
        out = FOLDER / f"{tag}.tar.gz"
        shared = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name", "-C", str(folder))
        subprocess.run(["tar", "-czf", str(out), *shared, *_KEPT], check=True)
    return out


def wanted(site: Promoting) -> Wanted:
    """What a host with the release is to be, by the code of the day."""
    lock = site.stored.lock
    answers = first_choices(lock.release.roles_for(GROUPS))
    return want("h1", GROUPS, site_settings(), lock, site.stored.digest, answers, SITE_FILES)


def _say(site: Promoting) -> None:
    now, release, bundle = datetime.now(UTC), site.stored.lock.release.reference, site.stored.digest
    site.say(record_of(HOSTS, [site.evidence(verified_at=now)], now), "stage")
    site.say(approval_of("prod", release, bundle, bundle, now), "anna")
    site.say(override_of("prod", release, bundle, tuple(Excuse), "for the fixture", 1, now), "anna")


def _rollout(folder: Path) -> None:
    """A journal with an event of each kind."""
    journal = Journal(folder)
    journal.add(opening(inventory=INVENTORY, rollout=folder.name))
    wave: dict[str, Any] = {"at": START, "wave": 0}
    journal.add(Began(**wave, phase="ship", hosts=("h1",)))
    journal.add(Ended(**wave, phase="ship", seconds=1.5, failed={"h2": "is gone"}))
    journal.add(Judged(**wave, passed=True))
    journal.add(Resumed(at=START, who="ann"))
    journal.add(Closed(at=START, outcome="done"))


def _host(of: Wanted, root: Path) -> None:
    """Sealift's folder on a host, as tasks/generation.py leaves it."""
    generation = of.generation
    inside = root / "generations" / f".{generation.id}.fixed0"
    for name, file in generation.files.items():
        path = inside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    (root / "generations" / generation.id).symlink_to(inside.name)
    (root / "current").symlink_to(f"generations/{generation.id}")


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
