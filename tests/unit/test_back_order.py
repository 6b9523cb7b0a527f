"""In which order hosts go back behind front doors, and who is drained, put off or left meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.host.behind import Behind
from sealift.host.rollout_settings import RolloutSettings
from sealift.live import stand_in
from sealift.live.stand_in import replaceable, told_idle, until_idle
from sealift.rollout.back_order import Order, Turn, order_of, turn, unanswered

_SETTINGS = RolloutSettings(canary=1, batches=("100%",))


def _behind(name: str, *names: str, drained: bool = False) -> Behind:
    return Behind(name, "10.0.0.1", 8443, names, 2048, 60, drained)


def _order(*fleet: Behind, doors: tuple[str, ...] = (), after: tuple[Behind, ...] = ()) -> Order:
    hosts = [each.name for each in fleet]
    return order_of(hosts, len(hosts), fleet, after or fleet, doors, _SETTINGS)


def test_hosts_go_in_waves_front_doors_last() -> None:
    order = _order(*(_behind(f"h{n}", "chat") for n in (1, 2, 3, 4)), doors=("h1", "h2"))
    assert order.waves == (("h3",), ("h4", "h1"), ("h2",))
    assert [turn(order, wave, (), {}) for wave in order.waves] == [Turn(wave, (), ()) for wave in order.waves]
    assert order.wave_of("h1") == 2 and order.drains("h1")


def test_who_is_alone_with_a_role_goes_back_undrained() -> None:
    order = _order(_behind("h1", "chat"), _behind("h2", "chat", "embed"))
    assert order.alone("h2") == ("embed",) and order.alone("h1") == ()
    assert not order.drains("h2") and order.drains("h1")
    assert turn(order, ("h2",), (), {}) == Turn((), ("h2",), ())


def test_what_only_one_of_the_releases_answers_needs_nobody() -> None:
    """A role that goes away with the newer release, of the last host that has it; one that comes back."""
    now = tuple(_behind(f"h{n}", "chat", "new") for n in (1, 2))
    after = tuple(_behind(f"h{n}", "chat", "classify") for n in (1, 2))
    assert _order(*now, after=after).answers == {"h1": {"chat"}, "h2": {"chat"}}
    mixed = _order(_behind("h1", "chat"), _behind("h2", "chat", "new"), after=after)
    assert mixed.drains("h2")


def test_who_was_drained_by_somebody_stands_in_for_nobody_and_is_not_drained_by_us() -> None:
    order = _order(_behind("h1", "chat"), _behind("h2", "chat", drained=True))
    assert order.away == {"h2"} and order.alone("h1") == ("chat",) and not order.drains("h2")
    assert turn(order, ("h1", "h2"), (), {}) == Turn((), ("h1", "h2"), ())


def test_while_one_did_not_go_back_the_others_go_as_far_as_somebody_answers() -> None:
    order = _order(*(_behind(f"h{n}", "chat") for n in (1, 2, 3)))
    assert turn(order, ("h2", "h3"), ("h1",), {}) == Turn(("h2",), (), ("h3",))
    assert turn(order, ("h3",), ("h1",), {}) == Turn(("h3",), (), ())  # h2 is back
    assert turn(order, ("h3",), ("h1", "h2"), {}) == Turn((), (), ("h3",))
    assert unanswered(order, "h3", ("h1", "h2"), {}) == ("chat",)
    assert unanswered(order, "h3", ("h1",), {}) == ()


def test_a_role_that_one_alone_has_does_not_excuse_the_others_of_that_host() -> None:
    order = _order(_behind("h1", "chat"), _behind("h2", "chat", "embed"))
    assert turn(order, ("h2",), ("h1",), {}) == Turn((), (), ("h2",))
    assert unanswered(order, "h2", ("h1",), {}) == ("chat",)


def test_a_host_that_does_not_answer_needs_nobody_and_stands_in_for_nobody() -> None:
    order = _order(*(_behind(f"h{n}", "chat") for n in (1, 2)))
    assert turn(order, ("h1",), (), {"d1": ("h1",)}) == Turn(("h1",), (), ())
    assert turn(order, ("h1",), (), {"d1": ("h2",)}) == Turn((), (), ("h1",))
    assert unanswered(order, "h1", (), {"d1": ("h2",)}) == ("chat",)
    assert turn(order, ("h1", "h2"), (), {"d1": ("h1", "h2")}) == Turn(("h1", "h2"), (), ())


def test_whom_one_front_door_does_not_reach_another_may_find_well() -> None:
    order = _order(_behind("h1", "chat"), _behind("h2", "chat"), _behind("h3", "chat", "embed"))
    only_d1 = {"d1": ("h3",), "d2": ()}
    assert turn(order, ("h3",), (), only_d1) == Turn((), ("h3",), ())  # alone with embed
    assert turn(order, ("h3",), ("h1", "h2"), only_d1) == Turn((), (), ("h3",))
    assert turn(order, ("h1",), ("h2",), only_d1) == Turn((), (), ("h1",))  # at d1, h3 is no stand-in
    assert unanswered(order, "h1", ("h2",), only_d1) == ("chat",)
    assert turn(order, ("h3",), (), {"d1": ("h3",), "d2": ("h3",)}) == Turn(("h3",), (), ())
    nobody = {"d1": ("h1", "h2", "h3"), "d2": ()}  # such a front door keeps no host from going back
    assert turn(order, ("h1", "h2"), (), nobody) == Turn(("h1", "h2"), (), ())


def test_the_last_front_door_that_stands_is_left() -> None:
    fleet = tuple(_behind(f"h{n}", "chat") for n in (1, 2, 3))
    order = _order(*fleet, doors=("h1", "h2"))
    both: dict[str, tuple[str, ...]] = {"h1": (), "h2": ()}
    assert turn(order, ("h2",), ("h1",), both) == Turn((), (), ("h2",))
    assert unanswered(order, "h2", ("h1",), both) == ("the front door",)
    alone = _order(*fleet, doors=("h1",))
    assert turn(alone, ("h1",), (), {"h1": ()}) == Turn(("h1",), (), ())
    assert turn(alone, ("h1",), ("h2", "h3"), {"h1": ()}) == Turn((), (), ("h1",))
    assert unanswered(alone, "h1", ("h2", "h3"), {"h1": ()}) == ("chat",)


def test_a_front_door_that_does_not_answer_is_no_stand_in_for_the_one_that_does() -> None:
    order = _order(*(_behind(f"h{n}", "chat") for n in (1, 2, 3)), doors=("h1", "h2"))
    only_h2: dict[str, tuple[str, ...]] = {"h2": ()}
    assert turn(order, ("h1",), (), only_h2) == Turn(("h1",), (), ())
    assert turn(order, ("h2",), (), only_h2) == Turn((), (), ("h2",))
    assert unanswered(order, "h2", (), only_h2) == ("the front door",)
    assert turn(order, ("h1",), (), {}) == Turn(("h1",), (), ())  # neither answers


def test_a_front_door_that_answers_nothing_itself_is_not_drained() -> None:
    order = order_of(["d1", "h1"], 2, (_behind("h1", "chat"),), (_behind("h1", "chat"),), ("d1",), _SETTINGS)
    assert order.waves == (("h1",), ("d1",))
    assert turn(order, ("d1",), (), {}) == Turn((), ("d1",), ())


_ROLES = st.frozensets(st.sampled_from(("chat", "embed", "classify")), min_size=1)
_HOSTS = st.lists(st.tuples(_ROLES, st.booleans(), st.booleans()), min_size=1, max_size=7)


@given(_HOSTS, st.data())
def test_whatever_is_drained_somebody_else_answers(
    hosts: list[tuple[frozenset[str], bool, bool]], data: st.DataObject
) -> None:
    fleet = [_behind(f"h{n}", *sorted(roles), drained=gone) for n, (roles, gone, _) in enumerate(hosts)]
    order = _order(*fleet, doors=tuple(f"h{n}" for n, (_, _, door) in enumerate(hosts) if door))
    assert sorted(host for wave in order.waves for host in wave) == sorted(each.name for each in fleet)
    names = st.frozensets(st.sampled_from([each.name for each in fleet]))
    failed, sick = data.draw(names), data.draw(st.dictionaries(st.sampled_from(["d1", *order.doors]), names))
    for wave in order.waves:
        now = turn(order, wave, failed, sick)
        assert sorted((*now.drained, *now.as_they_are, *now.later)) == sorted(wave)
        assert not {*now.drained} & order.away
        moving = {*now.drained, *now.as_they_are}
        for out in sick.values() or [frozenset[str]()]:
            well = order.answers.keys() - order.away - failed - out
            answered = {name for host in well - moving for name in order.answers[host]}
            for host in well & moving:
                assert order.answers[host] - {*order.alone(host)} <= answered
        answering = (order.doors & sick.keys()) - failed
        if len(order.doors) > 1 and answering & moving:
            assert answering - moving
        if not failed and not sick:
            for host in now.later:  # it will be its turn once the others are back
                assert turn(order, (host,), (), dict.fromkeys(order.doors, ())).later == ()


def test_of_two_that_stand_in_for_each_other_one_is_left() -> None:
    answers = {"h1": ("chat",), "h2": ("chat",), "h3": ("embed",)}
    assert replaceable(("h1", "h2", "h3", "h4"), answers) == ("h1",)
    assert replaceable(("h2", "h1"), answers) == ("h2",)


def test_what_runs_is_waited_for_and_no_longer_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stand_in, "_PAUSE_S", 0)
    said: list[str] = []
    running: Iterator[Mapping[str, Mapping[str, int]]] = iter(
        [
            {"d1": {"h1": 2}, "d2": {"h1": 1}},
            {"d1": {"h1": 0}, "d2": {"h1": 1}},
            {"d1": {"h1": 0}, "d2": {"h1": 0}},
        ]
    )
    assert until_idle(lambda: next(running), ("h1",), 60, said.append) == {}
    assert said == ["3 requests still run on h1", "1 requests still run on h1"]
    assert until_idle(lambda: {"d1": {"h1": 2}}, ("h1",), -1, said.append) == {"h1": 2}
    assert told_idle(("h1",), {"h1": 2}, 9) == "2 requests still ran after 9 s, and are cut off"
    assert told_idle(("h1", "h2"), {}, 9) == "h1, h2: nothing runs there any more"
