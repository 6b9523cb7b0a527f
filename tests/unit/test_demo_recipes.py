"""How ingredients are cached, and what is refused rather than left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.cache import Recipe, make, place
from demo.gemma_terms import terms_text
from demo.go import check_libraries, compiler_flags, is_enough
from demo.minilm import with_pooling, without_pooling_folder
from demo.ollama_store import normalise_manifest
from sealift.cache import cache_folder
from sealift.errors import SealiftError

PAGE = """<html><body><p>Menu</p><div class="devsite-article-body clearfix
  "><p>Last modified: today</p><p>By using &quot;Gemma&quot;<br>you agree.</p><ul><li>a copy</li></ul>
<h3>4.9 No Waiver</h3><p>None.</p></div><p>Footer</p></body></html>"""


@pytest.fixture
def told() -> list[str]:
    return []


def _recipe(source: Path, version: str = "1") -> Recipe:
    def build(result: Path, work: Path) -> None:
        (work / "scratch").touch()
        (result / "out").write_text(version)

    return Recipe("thing", "nothing", {"version": version}, (source,), build)


def test_an_ingredient_is_made_once_and_again_when_its_inputs_or_its_code_change(
    tmp_path: Path, told: list[str]
) -> None:
    code, cache = tmp_path / "code.py", tmp_path / "cache"
    code.write_text("1")
    first = make(_recipe(code), cache, told.append)
    assert make(_recipe(code), cache, told.append) == first
    assert "cached" in told[1] and "cached" not in told[0]
    assert make(_recipe(code, "2"), cache, told.append) != first
    code.write_text("2")
    assert make(_recipe(code), cache, told.append) != first


def test_what_a_killed_build_left_is_taken_away_and_never_taken_for_a_result(
    tmp_path: Path, told: list[str]
) -> None:
    (tmp_path / "code.py").touch()
    cache = tmp_path / "cache"
    (cache / ".partial.thing.abc/result").mkdir(parents=True)
    entry = make(_recipe(tmp_path / "code.py"), cache, told.append)
    assert [path.name for path in cache.iterdir() if path.name.startswith(".partial")] == []
    assert [path.name for path in entry.iterdir()] == ["out"]


def test_a_failed_build_leaves_no_entry(tmp_path: Path, told: list[str]) -> None:
    def build(result: Path, _: Path) -> None:
        (result / "half").touch()
        raise SealiftError("no")

    with pytest.raises(SealiftError):
        make(Recipe("thing", "nothing", {}, (), build), tmp_path, told.append)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_placing_replaces_what_is_there_and_leaves_what_is_the_same(tmp_path: Path) -> None:
    entry, target = tmp_path / "entry", tmp_path / "sources"
    entry.mkdir()
    target.mkdir()
    (entry / "out").write_text("new")
    (target / "out").write_text("older")
    place(entry, target)
    place(entry, target)
    assert (target / "out").samefile(entry / "out")
    assert [path.name for path in target.iterdir()] == ["out"]


def test_the_cache_is_where_the_environment_says() -> None:
    assert cache_folder({"SEALIFT_CACHE": "/c"}) == Path("/c")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/sealift")


@pytest.mark.parametrize(
    ("version", "enough"),
    [("go1.26.8", True), ("go1.25", True), ("go1.24.9", False), ("go1.19.8", False), ("devel", False)],
)
def test_an_old_go_is_not_enough(version: str, enough: bool) -> None:
    assert is_enough(version) is enough


def test_a_program_that_wants_newer_libraries_than_hosts_have_is_refused() -> None:
    check_libraries("p", b"\0GLIBC_2.41\0GLIBCXX_3.4.33\0GLIBC_PRIVATE\0")
    with pytest.raises(SealiftError, match=r"p: wants GLIBC_2\.42, expected at most 2\.41"):
        check_libraries("p", b"\0GLIBC_2.2.5\0GLIBC_2.42\0")


def test_local_paths_are_dropped_from_a_manifest() -> None:
    layer = {"mediaType": "m", "digest": "d", "size": 1}
    made = {"schemaVersion": 2, "config": layer, "layers": [{**layer, "from": "/home/me/x.gguf"}]}
    assert json.loads(normalise_manifest(json.dumps(made).encode()))["layers"] == [layer]


def test_the_terms_are_taken_whole_and_without_the_page_around_them() -> None:
    assert terms_text(PAGE).split("\n\n") == [
        "Gemma Terms of Use",
        "Last modified: today",
        'By using "Gemma"\nyou agree.',
        "- a copy",
        "4.9 No Waiver",
        "None.\n",
    ]


def test_terms_that_are_cut_short_are_refused() -> None:
    with pytest.raises(SealiftError, match="terms: not found"):
        terms_text(PAGE.replace("4.9 No Waiver", ""))


def test_how_embeddings_are_pooled_stands_where_ollama_reads_it() -> None:
    config = json.loads(with_pooling('{"hidden_size": 384}', '{"pooling_mode_mean_tokens": true}'))
    assert config == {"hidden_size": 384, "pooling_mode_mean_tokens": True}
    steps = [{"type": "m.Transformer", "path": ""}, {"type": "m.Pooling", "path": "1_Pooling"}]
    steps.append({"type": "m.Normalize", "path": "2_Normalize"})
    kept = json.loads(without_pooling_folder(json.dumps(steps)))
    assert [step["path"] for step in kept] == ["", "", "2_Normalize"]


def test_models_are_computed_by_the_vector_instructions_that_the_machine_has() -> None:
    old = "processor\t: 0\nflags\t\t: fpu sse4_2 avx\n"
    new = "processor\t: 0\nflags\t\t: fpu avx avx2 bmi1 bmi2 f16c fma abm movbe\nbugs\t\t: none\n"
    assert compiler_flags(old) == compiler_flags("") == "-O2"
    assert compiler_flags(new) == "-O2 -march=x86-64-v3"
