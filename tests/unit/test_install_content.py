"""What a release has for the control node, out of a lock, media and a depot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sealift.depot.store import Depot
from sealift.errors import SealiftError
from sealift.install.content import Package, control_part, read_from_media
from sealift.install.from_depot import copying
from sealift.install.start import Item, Media
from tests.unit import start_media
from tests.unit.control_lock import HEX, blob, lock, parsed


def test_the_control_part_of_a_lock_is_its_own_packages_wheels_and_code() -> None:
    control = parsed(lock())
    assert (control.release, control.suite, control.bundle) == ("demo:2026.11.0", "trixie", "sha256:00")
    assert control.packages == (Package("openssh-client", "1:10.0p1-7", Item("openssh-client.deb", HEX, 7)),)
    assert control.wheels == (Item("pip-26.3-py3-none-any.whl", HEX, 5),)
    assert (control.code.size, control.requirements.size) == (3, 4)


def test_a_release_without_control_says_what_to_do() -> None:
    with pytest.raises(
        SealiftError, match=r"^demo:2026\.11\.0: has nothing for a control node, expected `control`"
    ):
        parsed({**lock(), "control": None})


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {**lock(), "release": []},
        lock(wheels=[{"file": "../../etc/cron.d/x", "blob": blob()}]),
        lock(wheels=[{"file": "-e", "blob": blob()}]),
        lock(wheels=[{"file": 7, "blob": blob()}]),
        lock(wheels={"file": "a.whl"}),
        lock(code={"digest": "sha256:../../etc/passwd", "size": 1}),
        lock(code={"digest": f"sha256:{HEX}\n", "size": 1}),
        lock(code=None),
        {**lock(), "packages": [{"name": "../x", "version": "1", "groups": ["control"], "blob": blob()}]},
        {**lock(), "packages": [{"name": "x", "version": 1, "groups": ["control"], "blob": blob()}]},
    ],
)
def test_what_is_no_lock_is_refused(wrong: Any) -> None:
    with pytest.raises(SealiftError, match=r"^lock: is not as sealift lock writes it .* Lock and build"):
        parsed(wrong)


def test_what_is_no_json_is_refused() -> None:
    for content in (b"", b"{", b"[" * 100_000, b"\xff"):
        with pytest.raises(SealiftError, match=r"^lock: is not as sealift lock writes it"):
            control_part(content, "sha256:00")


def _media(folder: Path) -> Media:
    site = start_media.make(folder, b"code")
    return Media([site.media], (site.media / "TABLE.txt").read_bytes())


def test_media_lead_from_their_index_to_the_lock(tmp_path: Path) -> None:
    media = _media(tmp_path)
    control = read_from_media(media)
    assert (control.release, control.code) == ("demo:2026.11.0", media.code)


def test_a_small_file_that_the_media_have_too_large_or_not_at_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = _media(tmp_path)
    size = media.files["index.json"].size
    monkeypatch.setattr("sealift.install.content._SMALL_LIMIT", size - 1)
    told = rf"^index\.json: has {size} bytes, expected it there with {size - 1} bytes at most\."
    with pytest.raises(SealiftError, match=told):
        read_from_media(media)
    del media.files["index.json"]
    with pytest.raises(SealiftError, match=r"^index\.json: is not on these media"):
        read_from_media(media)


def test_a_damaged_blob_of_the_depot_is_named_and_not_left_behind(tmp_path: Path) -> None:
    depot = Depot(tmp_path / "depot")
    blob = depot.store.put_bytes(b"a package")
    item, target = Item("one.deb", blob.hex, blob.size), tmp_path / "one.deb"
    copying(depot)(item, target)
    assert target.read_bytes() == b"a package"
    depot.store.path(blob).chmod(0o644)
    depot.store.path(blob).write_bytes(b"A package")
    with pytest.raises(SealiftError, match=rf"{blob.hex}: is damaged\. Run sealift fsck"):
        copying(depot)(item, target)
    assert not target.exists()
