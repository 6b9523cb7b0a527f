"""What came of golden questions, kept and compared with the release before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.quality.results import Answer, Results, compared, keep, last_of_another, read

OLD, NEW = ("sha256:" + digit * 64 for digit in "ab")


def _answer(host: str, question: str, problem: str | None = None, said: str = "Paris") -> Answer:
    return Answer(host=host, role="chat", question=question, identity=question, said=said, problem=problem)


def _results(bundle: str, *answers: Answer, hour: int = 8) -> Results:
    at = datetime(2026, 11, 29, hour, tzinfo=UTC)
    return Results(inventory="lab", release="demo:1", bundle=bundle, at=at, answers=answers)


def test_what_was_good_and_is_not_is_worse() -> None:
    now = (
        _answer("h1", "a", "is empty"),
        _answer("h2", "a", "is empty"),
        _answer("h1", "b"),
        _answer("h1", "c"),
    )
    before = (_answer("h1", "a"), _answer("h2", "a", "is empty"), _answer("h1", "b", "is empty"))
    a, b, c = compared(now, before)
    assert (a.failed, a.worse, a.better) == (("h1", "h2"), ("h1",), ())
    assert (b.failed, b.worse, b.better) == ((), (), ("h1",))
    assert (c.failed, c.worse, c.better, c.before) == ((), (), (), {})


def test_answers_are_compared_with_the_newest_of_another_bundle(tmp_path: Path) -> None:
    assert last_of_another(tmp_path / "none", NEW) is None
    keep(_results("sha256:" + "c" * 64, _answer("h1", "a"), hour=7), tmp_path)
    keep(_results(OLD, _answer("h1", "a", "is empty")), tmp_path)
    keep(_results(NEW, _answer("h1", "a"), hour=9), tmp_path)
    found = last_of_another(tmp_path, NEW)
    assert found is not None and found.bundle == OLD


def test_one_role_asked_again_leaves_the_others(tmp_path: Path) -> None:
    keep(_results(NEW, _answer("h1", "a", "is empty"), _answer("h1", "b"), _answer("h2", "a")), tmp_path)
    keep(_results(NEW, _answer("h1", "a"), hour=9), tmp_path)
    (path,) = tmp_path.iterdir()
    kept = read(path)
    assert {(each.host, each.question): each.problem for each in kept.answers} == {
        ("h1", "a"): None,
        ("h1", "b"): None,
        ("h2", "a"): None,
    }
    assert kept.at.hour == 9


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"inventory": 1}', b"\xff"])
def test_results_that_were_altered_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{'a' * 64}.json").write_bytes(content)
    with pytest.raises(SealiftError):
        last_of_another(tmp_path, NEW)
