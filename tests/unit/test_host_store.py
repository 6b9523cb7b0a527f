"""A host store that others could change, and blobs that damaged themselves: the scripts, on folders here."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from sealift.drift.plan import Plan, with_damaged
from sealift.errors import SealiftError
from sealift.facts.host_store import Access, StoreAccess
from sealift.fleet.blob_check import HASH, parse_damaged
from sealift.host_paths import GENERATIONS, METRICS, MODELS, PACKAGES, ROOT
from tests.unit.fleet_site import lock
from tests.unit.samples import MODEL

RIGHT = [
    f"d\t755\t0:0\t{ROOT}",
    f"d\t700\t0:0\t{GENERATIONS}",
    f"d\t755\t0:0\t{MODELS}",
    f"f\t644\t0:0\t{PACKAGES}",
    f"d\t755\t65530:65530\t{METRICS}",
]


def test_a_store_of_roots_own_is_left_alone() -> None:
    assert StoreAccess().process(RIGHT) == {}


def test_what_others_could_change_is_told() -> None:
    lines = [line.replace("700\t0:0", "777\t0:0").replace("644\t0:0", "644\t1000:0") for line in RIGHT]
    found = StoreAccess().process(lines)
    assert found == {
        GENERATIONS: (Access("777", "0:0"), Access("700", "0:0")),
        PACKAGES: (Access("644", "1000:0"), Access("644", "0:0")),
    }
    assert [found[path][0].against(found[path][1]) for path in found] == [
        "has mode 777, expected 700",
        "belongs to 1000:0, expected 0:0",
    ]


def test_the_probes_folder_is_the_probes() -> None:
    found = StoreAccess().process([f"d\t755\t0:0\t{METRICS}"])
    assert found == {METRICS: (Access("755", "0:0"), Access("755", "65530:65530"))}


def test_the_script_does_not_look_into_what_containers_write(tmp_path: Path) -> None:
    for folder in ("metrics", "alerts", "budgets/answers"):
        (tmp_path / folder / "one\nd\t777\t0:0").mkdir(parents=True)
    command = StoreAccess().command().replace(ROOT, str(tmp_path))
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    seen = {line.split("\t")[3].removeprefix(f"{tmp_path}") for line in said.splitlines()}
    assert seen == {"", "/metrics", "/alerts", "/budgets", "/budgets/answers"}


def test_the_script_sees_folders_and_lists_but_no_blobs(tmp_path: Path) -> None:
    for folder in ("blobs/sha256", "models/manifests/a", "generations/.1/secret", ".load.x/y"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("blobs/sha256/1", "models/manifests/a/b", "packages", "rollout.lock"):
        (tmp_path / file).touch()
    command = StoreAccess().command().replace(ROOT, str(tmp_path))
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    seen = {line.split("\t")[3].removeprefix(str(tmp_path)).lstrip("/") for line in said.splitlines()}
    assert seen == {
        *("", "blobs", "blobs/sha256", "generations", "models", "models/manifests", "models/manifests/a"),
        *("models/manifests/a/b", "packages"),
    }


@pytest.mark.parametrize("mark", ["", "mark"])
def test_a_damaged_blob_is_found_though_its_time_was_kept(tmp_path: Path, mark: str) -> None:
    good, bad = (hashlib.sha256(content).hexdigest() for content in (b"good", b"bad"))
    for name in (good, bad, "README"):
        (tmp_path / name).write_bytes(b"good")
        os.utime(tmp_path / name, (1, 1))
    command = ["sh", "-c", HASH, "sealift", str(tmp_path), mark]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [f"damaged={bad}", "end="]
    times = [(tmp_path / name).stat().st_mtime == 1 for name in (good, bad, "README")]
    assert times == [True, mark == "", True]


def test_a_host_without_a_store_has_nothing_damaged(tmp_path: Path) -> None:
    command = ["sh", "-c", HASH, "sealift", str(tmp_path / "none"), "mark"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "end=\n"


def test_a_damaged_blob_is_named_by_what_it_belongs_to() -> None:
    weights = lock().models[MODEL].layers[0]
    said = f"damaged={weights.hex}\ndamaged={'e' * 64}\nend=\n"
    (line,) = parse_damaged("h1", said, lock())
    assert line == f"blob {weights.hex[:12]} of model {MODEL} is damaged"
    planned = with_damaged({"h1": Plan(("a",), (), ""), "h2": Plan((), (), "")}, {"h1": (line,)})
    assert (planned["h1"].differs, planned["h2"].differs) == (("a", line), ())


@pytest.mark.parametrize("said", ["", "damaged=x\nend=\n", f"damaged={'e' * 64}\n"])
def test_hashing_that_was_cut_short_is_no_result(said: str) -> None:
    with pytest.raises(SealiftError, match=r"^h1: did not hash all blobs"):
        parse_damaged("h1", said, lock())
