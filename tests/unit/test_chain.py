"""Who gives what to whom in a chain, and what is made of what its hosts say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.ship.chain import LEAST_BYTES, Part, Stage, fit, link, stages
from sealift.ship.chain_files import Link, taking_and_giving
from sealift.ship.chain_suspects import Suspects
from sealift.ship.chain_watch import Fault, Outcome, Watched
from sealift.ship.plan import Have
from sealift.ship.preview import Chain, preview
from sealift.ship.types import Order
from sealift.ssh import Ssh


def blob(name: str, size: int) -> Blob:
    return Blob(digest=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}", size=size)


LARGE, SMALL = blob("large", 2 * LEAST_BYTES), blob("small", 10)
FREE = 1 << 40


def have(*stored: Blob, free: int = FREE, **partial: int) -> Have:
    named = {"large": LARGE, "small": SMALL}
    return Have(
        {b.hex: b.size for b in stored},
        frozenset(),
        {named[name].hex: size for name, size in partial.items()},
        free,
    )


def made(**haves: Have) -> tuple[Part, ...]:
    return link(tuple(haves), (LARGE, SMALL), haves, {}, {})


def test_each_host_takes_what_it_lacks_and_gives_what_the_next_one_lacks() -> None:
    parts = made(h1=have(), h2=have(large=100), h3=have(SMALL))
    assert [part.host for part in parts] == ["h2", "h3", "h1"]  # those that lack least give first
    taken = [[(item.blob, item.taken, item.given) for item in part.items] for part in parts]
    assert taken == [
        [(LARGE, 100, 0), (SMALL, 0, None)],
        [(LARGE, 0, 0), (SMALL, None, 0)],  # what the one before it has no need to carry comes from its store
        [(LARGE, 0, None), (SMALL, 0, None)],
    ]


def test_every_link_carries_just_what_the_host_behind_it_lacks() -> None:
    parts = made(h1=have(LARGE, SMALL), h2=have(), h3=have())
    assert [part.bytes for part in parts] == [0, LARGE.size + 10, LARGE.size + 10]


def test_a_host_that_is_to_be_last_is_last() -> None:
    haves = {"h1": have(LARGE), "h2": have(), "h3": have()}
    assert [p.host for p in link(tuple(haves), (LARGE,), haves, {"h1": 2, "h2": 1}, {})] == ["h3", "h2", "h1"]


def test_a_host_with_the_lowest_rate_is_last() -> None:
    haves = {"h1": have(), "h2": have(), "h3": have()}
    parts = link(tuple(haves), (LARGE,), haves, {}, {"h1": 10_000, "h2": 20_000})
    assert [part.host for part in parts] == ["h3", "h2", "h1"]


def test_how_far_a_host_is_passes_over_what_it_has() -> None:
    (first, *_) = made(h1=have(LARGE), h2=have(), h3=have())
    assert [first.reached(0), first.reached(9), first.reached(10)] == [(1, 0), (1, 9), (2, 0)]


def test_blobs_go_in_stages_by_who_needs_them() -> None:
    assert stages({"h1": [LARGE, SMALL], "h2": [SMALL], "h3": [LARGE, SMALL]}) == (
        Stage(("h1", "h2", "h3"), (SMALL,)),
        Stage(("h1", "h3"), (LARGE,)),
    )


def test_two_hosts_and_little_bytes_make_no_chain() -> None:
    hosts = ("h1", "h2", "h3")
    nothing = {host: have() for host in hosts}
    assert fit(Stage(hosts, (LARGE,)), nothing) == hosts
    assert fit(Stage(hosts[:2], (LARGE,)), nothing) == ()
    assert fit(Stage(hosts, (SMALL,)), nothing) == ()
    assert fit(Stage(hosts, (LARGE,)), {**nothing, "h1": have(LARGE), "h2": have(LARGE)}) == ()


def test_a_host_without_room_or_with_a_touched_blob_is_in_no_chain() -> None:
    hosts = ("h1", "h2", "h3", "h4", "h5")
    haves = {host: have() for host in hosts}
    haves["h2"] = have(free=LARGE.size - 1)
    haves["h4"] = Have({}, frozenset({LARGE.hex}), {}, FREE)
    assert fit(Stage(hosts, (LARGE,)), haves) == ("h1", "h3", "h5")


@pytest.fixture
def watched() -> Watched:
    return Watched(made(h1=have(), h2=have(), h3=have()), began=0.0)


def test_hosts_that_are_done_end_a_chain(watched: Watched) -> None:
    assert watched.say("h1", "at 5", 1.0) == 5
    assert watched.say("h1", "at 12", 1.0) == 7
    assert watched.say("h1", "at 3", 1.0) == 0  # a host's word is foreign
    for host in ("h1", "h2", "h3"):
        assert not watched.done
        watched.say(host, "done", 2.0)
    assert watched.done
    watched.end("h1", "went")
    assert watched.fault(3.0) is None


@pytest.mark.parametrize("line", ["", "at", "at x", "at -1", f"at {'9' * 30}", "waiting x", "what 1", "ok"])
def test_what_a_host_should_not_say_changes_nothing(watched: Watched, line: str) -> None:
    assert watched.say("h2", line, 1.0) == 0
    assert (watched.fault(1.0), watched.done) == (None, False)


def test_a_host_whose_connection_ends_is_gone(watched: Watched) -> None:
    watched.end("h2", "does not answer")
    assert watched.fault(1.0) == Fault({"h2": "h2: does not answer"})


def test_a_link_that_carries_nothing_is_the_first_whose_giver_has_more(watched: Watched) -> None:
    watched.say("h1", "at 500", 1.0)
    watched.say("h2", "at 500", 1.0)
    watched.say("h3", "at 400", 1.0)
    watched.say("h1", "here", 8.0)
    for host in ("h2", "h3"):
        watched.say(host, "waiting 7", 8.0)  # h2 has all that h1 has
    fault = watched.fault(8.0)
    assert fault and fault.suspects == ("h2", "h3")
    assert fault.why == "h3: got nothing from h2 for 7 s"


def test_a_cut_is_a_fault_of_both_ends_unless_one_is_heard_to_be_gone(watched: Watched) -> None:
    watched.say("h1", "cut out Connection refused", 1.0)
    assert watched.fault(2.0) is None
    fault = watched.fault(4.0)
    assert fault == Fault(suspects=("h1", "h2"), why="h1: cannot send to h2: Connection refused")
    watched.end("h2", "killed")
    assert watched.fault(4.0) == Fault({"h2": "h2: killed"})


def test_hosts_that_say_nothing_any_more_are_gone_together(watched: Watched) -> None:
    for second in range(1, 9):
        watched.say("h1", "busy", float(second))
    watched.say("h2", "at 5", 2.0)
    assert watched.fault(6.0) is None
    fault = watched.fault(8.0)
    assert fault and list(fault.gone) == ["h2", "h3"]
    assert fault.gone["h2"] == "h2: said nothing for 6 s"


def running(watched: Watched, seconds: int, **rates: float) -> Fault | None:
    """What is wrong after so many seconds of these rates, in bytes per second."""
    for second in range(seconds + 1):
        for host in ("h1", "h2", "h3"):
            watched.say(host, f"at {int(rates[host] * second)}", float(second))
    return watched.fault(float(seconds))


def test_a_link_at_a_tenth_of_the_others_holds_up_those_behind_it() -> None:
    watched = Watched(made(h1=have(), h2=have(), h3=have()), began=0.0)
    assert running(watched, 14, h1=4e6, h2=4e5, h3=4e5) is None
    fault = running(watched, 15, h1=4e6, h2=4e5, h3=4e5)
    why = "h2: got 0.40 MB/s from h1, while others got 4.00"
    assert fault == Fault(suspects=("h1", "h2"), why=why, slow=True)


def test_a_slow_link_that_is_no_news_or_is_to_be_or_holds_up_nobody_is_no_fault() -> None:
    parts = made(h1=have(), h2=have(), h3=have())
    slow = {"h1": 4e6, "h2": 4e5, "h3": 4e5}
    assert running(Watched(parts, 0.0, known_slow={"h2"}), 15, **slow) is None
    assert running(Watched(parts, 0.0, limits={"h2": 500_000}), 15, **slow) is None
    assert running(Watched(parts, 0.0), 15, h1=4e6, h2=4e6, h3=4e5) is None
    assert running(Watched(parts, 0.0), 15, h1=4e6, h2=2e6, h3=2e6) is None


def test_a_link_that_carries_a_byte_now_and_then_carries_nothing() -> None:
    fault = running(Watched(made(h1=have(), h2=have(), h3=have()), 0.0), 15, h1=4e6, h2=4e6, h3=100)
    assert fault == Fault(suspects=("h2", "h3"), why="h3: got 0.00 MB/s from h2")


def test_a_host_that_is_busy_is_not_slow() -> None:
    watched = Watched(made(h1=have(), h2=have(), h3=have()), 0.0)
    running(watched, 14, h1=4e6, h2=4e5, h3=4e5)
    watched.say("h2", "busy", 14.5)
    assert watched.fault(15.0) is None


def test_of_two_suspects_the_one_that_fails_again_goes() -> None:
    known, order = Suspects(), made(h1=have(), h2=have(), h3=have())
    assert known.learn(Outcome({}, order, Fault(suspects=("h1", "h2"), why="why")))
    assert (known.out, dict(known.last)) == ({}, {"h1": 2, "h2": 1})
    assert known.learn(Outcome({}, order, Fault(suspects=("h3", "h2"), why="again")))
    assert known.out == {"h2": "again"}


def test_of_two_slow_links_with_an_end_in_common_it_is_that_end() -> None:
    known, order = Suspects(), made(h1=have(), h2=have(), h3=have())
    assert known.learn(Outcome({}, order, Fault(suspects=("h1", "h2"), why="first", slow=True)))
    assert (dict(known.last), known.slow) == ({"h1": 2, "h2": 1}, set())
    assert known.learn(Outcome({}, order, Fault(suspects=("h3", "h2"), why="second", slow=True)))
    assert max(known.last, key=known.last.__getitem__) == "h2" and "h3" not in known.last
    assert (known.slow, known.out) == ({"h2"}, {})


def test_slow_links_are_mended_a_few_times_only() -> None:
    hosts = ("h1", "h2", "h3", "h4", "h5", "h6")
    known, order = Suspects(), made(**{host: have() for host in hosts})
    for ends in (hosts[:2], hosts[2:4], hosts[4:]):
        assert known.learn(Outcome({}, order, Fault(suspects=ends, why="slow", slow=True)))
    assert known.slow == set(hosts)


def test_who_sent_a_rotten_blob_is_the_one_before_the_first_that_got_it() -> None:
    known, order = Suspects(), made(h1=have(), h2=have(), h3=have())
    assert known.learn(Outcome({}, order, bad={"h3": {LARGE.hex}, "h2": {LARGE.hex}}))
    assert known.notes == {"h1": f"sent other bytes than those of {LARGE.digest} to h2"}
    assert known.last["h1"] == 2


def test_a_host_that_began_with_bytes_of_its_own_blames_nobody() -> None:
    known, order = Suspects(), made(h1=have(large=9), h2=have(large=8), h3=have(large=7))
    assert known.learn(Outcome({}, order, bad={"h2": {LARGE.hex}}))
    assert (known.notes, dict(known.last)) == ({}, {})


def test_a_host_that_finds_rotten_bytes_of_its_own_for_ever_is_out() -> None:
    known, order = Suspects(), made(h1=have(large=9), h2=have(large=8), h3=have(large=7))
    outcome = Outcome({}, order, bad={"h2": {LARGE.hex}})
    assert [known.learn(outcome), known.learn(outcome)] == [True, True]
    assert known.out == {"h2": f"had other bytes than those of {LARGE.digest}, and has them again"}


def test_a_depot_that_sends_rotten_bytes_twice_is_left_to_ssh_which_says_so() -> None:
    known, order = Suspects(), made(h1=have(), h2=have(), h3=have())
    outcome = Outcome({}, order, bad={"h1": {LARGE.hex}})
    assert [known.learn(outcome), known.learn(outcome)] == [True, False]


def test_a_chain_that_came_to_its_end_is_the_last() -> None:
    known = Suspects()
    assert not known.learn(Outcome({"h9": "no answer"}, made(h1=have(), h2=have(), h3=have())))
    assert known.out == {"h9": "no answer"}


def test_a_preview_counts_what_hosts_give_each_other_for_the_control_node() -> None:
    ssh = [Ssh(host, Path("ssh_config")) for host in ("h1", "h2", "h3")]
    haves = {"h1": have(), "h2": have(), "h3": have(SMALL)}
    chained = preview([Order(each, (LARGE, SMALL), 4711) for each in ssh], haves)
    assert chained.chains == (Chain(("h3", "h1", "h2"), LARGE.size + 10),)
    assert (chained.from_control, chained.straight, chained.nowhere) == (LARGE.size, 0, LARGE.size)
    straight = preview([Order(each, (LARGE, SMALL)) for each in ssh], haves)
    assert (straight.chains, straight.from_control) == ((), 3 * LARGE.size + 20)
    assert straight.lacking == {"h1": LARGE.size + 10, "h2": LARGE.size + 10, "h3": LARGE.size}


def test_keys_are_made_for_each_transfer_and_let_in_one_command() -> None:
    taking, giving = taking_and_giving(Link("192.0.2.7", 4711), "/run/x")
    other, _ = taking_and_giving(Link("192.0.2.7", 4711), "/run/x")
    assert taking["host"] != other["host"]
    assert taking["authorized"] != other["authorized"]
    assert taking["authorized"].startswith('restrict,command="false" ssh-ed25519 ')
    assert giving["known"].startswith("next ssh-ed25519 ")
    lines = taking["sshd_config"].splitlines()
    assert lines[:2] == ["Port 4711", "ListenAddress 192.0.2.7"]
    assert "PasswordAuthentication no" in lines
    assert "DisableForwarding yes" in lines
    assert "StrictHostKeyChecking yes" in giving["ssh_config"].splitlines()
