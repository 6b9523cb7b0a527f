"""What the control node starts from, as it is locked: code, requirements, wheels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.bundle.build import build
from sealift.bundle.have_list import NOTHING
from sealift.errors import SealiftError
from sealift.files import canonical_json
from sealift.progress import silent
from sealift.release.locked import Lock
from sealift.release.lockfile import dump_lock, parse_lock
from sealift.sources.control import lock_control
from tests.unit import samples
from tests.unit.control_site import build_in, cache_of


def test_a_release_without_a_control_node_locks_none(tmp_path: Path) -> None:
    assert lock_control(samples.release(), tmp_path / "nowhere", cache_of(tmp_path), silent) is None
    assert "control" not in json.loads(
        dump_lock(Lock(release=samples.release(), packages=(), images={}, models={}))
    )


def test_a_lock_names_neither_index_nor_project(site: samples.Site, tmp_path: Path) -> None:
    content = dump_lock(site.lock)
    assert parse_lock(content, "lock") == site.lock
    assert str(tmp_path).encode() not in content


def test_code_that_was_changed_since_is_refused(site: samples.Site, project: Path, tmp_path: Path) -> None:
    build_in(site, project, tmp_path / "bundle")
    (project / "deploy.py").write_text("another")
    for out in ("bundle", "fresh"):
        with pytest.raises(
            SealiftError, match=r"its files are not those that were locked\. Run sealift lock again"
        ):
            build_in(site, project, tmp_path / out)


def test_requirements_that_git_does_not_track_are_watched_too(
    site: samples.Site, project: Path, tmp_path: Path
) -> None:
    other = samples.release(control={"python": "other.txt"})
    (project / "other.txt").write_bytes((project / "requirements.txt").read_bytes())
    control = lock_control(other, project, cache_of(tmp_path), silent)
    lock = site.lock.model_copy(update={"release": other, "control": control})
    (project / "other.txt").write_text("# other\n")
    with pytest.raises(SealiftError, match="its files are not those that were locked"):
        build(lock, site.sources, tmp_path / "bundle", site.key, silent, NOTHING, project)


def test_requirements_outside_the_project_are_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("")
    (project / "link.txt").symlink_to("../outside.txt")
    with pytest.raises(SealiftError, match=r"link\.txt: leads out of"):
        lock_control(samples.release(control={"python": "link.txt"}), project, cache_of(tmp_path), silent)
    with pytest.raises(SealiftError, match=r"absent\.txt: not found"):
        lock_control(samples.release(control={"python": "absent.txt"}), project, cache_of(tmp_path), silent)


def test_mistakes_of_code_and_requirements_are_told_at_once(project: Path, tmp_path: Path) -> None:
    (project / "deploy.py").unlink()
    (project / "requirements.txt").write_text("thing\n")
    with pytest.raises(
        SealiftError, match=r"(?s)deploy\.py: git tracks it.*requirements\.txt: line 1: thing is not"
    ):
        lock_control(samples.release(control={}), project, cache_of(tmp_path), silent)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"file": "greenlet-2.0-py3-none-any.whl"},
            "greenlet-2.0-py3-none-any.whl is no wheel of greenlet 1.0",
        ),
        ({"file": "pip-1.0-py3-none-any.whl"}, "pip-1.0-py3-none-any.whl is no wheel of greenlet 1.0"),
        ({"file": "greenlet-1.0-x-py3-none-any.whl"}, "string should match pattern"),
        ({"file": "../greenlet-1.0-py3-none-any.whl"}, "string should match pattern"),
        ({"name": "pip", "file": "pip-1.0-py3-none-any.whl"}, "pip stands there twice"),
    ],
)
def test_a_lock_with_wheels_that_are_none_is_refused(
    site: samples.Site, change: dict[str, str], told: str
) -> None:
    document = json.loads(dump_lock(site.lock))
    document["control"]["wheels"][0] |= change
    with pytest.raises(SealiftError) as raised:
        parse_lock(canonical_json(document), "lock")
    assert told in str(raised.value)


def test_a_lock_and_its_release_agree_on_having_a_control_node(site: samples.Site) -> None:
    document = json.loads(dump_lock(site.lock))
    for change in ({"control": None}, {"release": {**document["release"], "control": None}}):
        with pytest.raises(SealiftError, match="control: stands in one of the lock and its release only"):
            parse_lock(canonical_json({**document, **change}), "lock")
