"""Questions and objectives in release files and locks: what is refused, in words that help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.evidence.expectations import expect
from sealift.host.promises import idle_objectives
from sealift.release.changes import compare
from sealift.release.locked import Lock
from sealift.release.lockfile import dump_lock, parse_lock
from sealift.release.parse import load_release
from sealift.release.roles import wrong_kinds
from sealift.release.types import Image
from tests.unit import fleet_site, samples
from tests.unit.fleet_site import SHAPE
from tests.unit.test_roles import release_file

QUESTION = {"ask": "France?", "must": ["Paris"]}
PAIR = {"texts": ["a", "b"], "at_least": 0.5}


def _lock(embeds: bool, **role: object) -> Lock:
    release = samples.release(roles={"chat": {"model": samples.MODEL, **role}})
    lock = fleet_site.lock(release)
    model = lock.models[samples.MODEL]
    shape = SHAPE.model_copy(update={"embeds": embeds})
    gateway = lock.images["gateway"].model_copy(update={"name": samples.GATEWAY})
    return lock.model_copy(
        update={
            "models": {samples.MODEL: model.model_copy(update={"shape": shape})},
            "images": {**lock.images, "gateway": gateway},
        }
    )


@pytest.mark.parametrize(
    ("roles", "mistake"),
    [
        ("{objectives: {answer: 3}}", "roles.chat.objectives.answer: is 3, expected text. Put it in quotes."),
        ("{objectives: {answer: 3 s}}", "'3 s' is not a time such as 3s or 500ms. Correct it."),
        ("{objectives: {memory: 16G}}", "'16G' is not an amount such as 16GiB. Correct it."),
        ("{objectives: {latency: 3s}}", "roles.chat.objectives.latency: is unknown."),
        (
            "{questions: [{ask: x}]}",
            "expected must, must_not or format: any answer would be good. Correct it.",
        ),
        ("{questions: [{ask: x, must: [y], mustnt: [z]}]}", "mustnt: is unknown. Did you mean must_not?"),
        ("{pairs: [{texts: [a, b]}]}", "expected at_least or at_most: any two texts would do. Correct it."),
    ],
)
def test_mistakes_in_a_release_file_are_told(tmp_path: Path, roles: str, mistake: str) -> None:
    path = release_file(tmp_path, f'  chat: {{model: "gemma3:270m", {roles[1:]}\n')
    with pytest.raises(SealiftError) as caught:
        load_release(path)
    assert mistake in str(caught.value)


@pytest.mark.parametrize(
    ("embeds", "role", "mistake"),
    [
        (False, {"questions": [QUESTION], "objectives": {"first_token": "2s"}}, None),
        (True, {"pairs": [PAIR], "objectives": {"answer": "100ms", "memory": "1GiB"}}, None),
        (True, {"questions": [QUESTION]}, "roles: chat has questions, but tiny:1m answers in numbers"),
        (True, {"objectives": {"first_token": "2s"}}, "roles: chat has first_token, but tiny:1m answers in"),
        (False, {"pairs": [PAIR]}, "roles: chat has pairs, but tiny:1m answers in words"),
    ],
)
def test_what_a_model_cannot_answer_is_refused(
    embeds: bool, role: dict[str, object], mistake: str | None
) -> None:
    lock = _lock(embeds, **role)
    assert [wrong.startswith(mistake or "-") for wrong in wrong_kinds(lock.release, lock.models)] == (
        [True] if mistake else []
    )
    if mistake is None:
        assert parse_lock(dump_lock(lock), "x.lock") == lock
    else:
        with pytest.raises(SealiftError, match=mistake):
            parse_lock(dump_lock(lock), "x.lock")


def test_a_lock_without_them_is_as_it_was() -> None:
    written = dump_lock(fleet_site.lock()).decode()
    assert not any(key in written for key in ("objectives", "questions", "pairs", "embeds"))


def test_a_difference_tells_how_many_questions_there_are() -> None:
    (change,) = compare(_lock(False), _lock(False, questions=[QUESTION], objectives={"answer": "3s"})).changes
    assert change.after == f'{samples.MODEL} objectives={{"answer":"3s"}} questions=1'


def test_acceptance_expects_them() -> None:
    lock = _lock(False, questions=[QUESTION], objectives={"answer": "3s"})
    wanted = fleet_site.wanted(of=lock)
    role = expect(wanted, address="10.0.0.1", api_key=SecretStr("key"), acceptance_key=None).roles["chat"]
    assert (role.embeds, len(role.golden), role.objectives.figures) == (False, 1, {"answer": 3.0})
    assert role.released == role.objectives


def test_acceptance_expects_what_the_site_promises_and_knows_what_its_release_does() -> None:
    lock = _lock(False, objectives={"answer": "3s", "success": "95%"})
    wanted = fleet_site.wanted(of=lock, objectives={"chat": {"answer": "60s", "memory": "1GiB"}})
    role = expect(wanted, address="10.0.0.1", api_key=SecretStr("key"), acceptance_key=None).roles["chat"]
    assert role.objectives.figures == {"answer": 60.0, "success": 0.95}
    assert role.released.figures == {"answer": 3.0, "success": 0.95}


def test_what_a_site_promises_that_its_release_does_not_is_told() -> None:
    release = _lock(False, objectives={"answer": "3s"}).release
    given = {"chat": {"answer": "60s", "memory": "1GiB"}, "chta": {"answer": "60s"}}
    said = list(idle_objectives(fleet_site.site_settings(objectives=given), release))
    assert said == [
        f"objectives.chat.memory: changes nothing, for {release.reference} promises no memory of chat. Take "
        "it out",
        f"objectives.chta: changes nothing, for {release.reference} has no such role. Expected one of chat. "
        "Correct it, or take it out",
    ]


@pytest.mark.parametrize("promised", [{}, {"answer": "60s"}])
def test_the_probe_is_told_what_roles_promise(promised: dict[str, str]) -> None:
    lock = _lock(False, objectives={"answer": "3s", "success": "95%"})
    images = {**lock.release.images, "probe": Image(name="localhost/site/probe:1", archive="probe.tar")}
    release = lock.release.model_copy(update={"images": images})
    locked = {**lock.images, "probe": lock.images["ollama"]}
    wanted = fleet_site.wanted(
        of=lock.model_copy(update={"release": release, "images": locked}), objectives={"chat": promised}
    )
    told = json.loads(wanted.generation.files["probe/probe.json"].content)
    assert told["roles"]["chat"]["objectives"] == {"answer": 60.0 if promised else 3.0, "success": 0.95}
