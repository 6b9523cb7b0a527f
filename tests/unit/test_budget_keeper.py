"""The keeper of budgets by bash, with a log of the test's and a clock that the test sets."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.fleet_site import wanted

SCRIPT = wanted().generation.files["budgets/keeper.sh"].content
# 28 November 2026, 23:00:00 UTC
START = int(datetime(2026, 11, 28, 23, tzinfo=UTC).timestamp())
SMALL = "LOG_LIMIT=100"  # a step: the log is to be emptied beyond so many bytes
HOUR, DAY = 3600, 86400
# The clock does not go by itself. At the end of each round comes a step of the test; it ends after the last.
PRELUDE = """
unset EPOCHSECONDS; EPOCHSECONDS=$START
read() {
    if [[ $* != "-r -t 1 -u 4" ]]; then builtin read "$@"; return; fi
    builtin read -r -d '' -u 9 step || exit 0
    eval "$step"
}
exec 9<"$STEPS"
source "$KEEPER" count "$1" "$2"
"""
TOLD = "alice 10.0.0.2:11434 200 - 26 259 40 text 9000 1500 application/json"  # 285 tokens


class Host:
    """A host's folder of budgets."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.used = folder, folder / "log", folder / "used"
        self._keeper = folder / "keeper"
        self._keeper.write_bytes(SCRIPT)
        self.log.touch()

    def logs(self, *lines: str) -> str:
        """A step: the gateway writes lines."""
        return "".join(f"echo '{line}' >>{self.log}\n" for line in lines)

    def counts(self, *steps: str, start: int = START) -> subprocess.CompletedProcess[str]:
        """Count for as many rounds as there are steps, and one more."""
        (self.folder / "steps").write_text("".join(f"{step}\0" for step in steps))
        environment = {"PATH": "/usr/bin:/bin", "KEEPER": str(self._keeper), "START": str(start)}
        environment["STEPS"] = str(self.folder / "steps")
        return subprocess.run(
            ["bash", "-c", PRELUDE, "keeper", self.log, self.folder],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def says(self) -> dict[str, tuple[int, int]]:
        """Tokens of the day and of the month, by client."""
        return {name: (day, month) for name, (_, day, month) in self._said().items()}

    def of_minute(self) -> dict[str, int]:
        """Tokens of the minute, by client."""
        return {name: minute for name, (minute, _, _) in self._said().items()}

    def _said(self) -> dict[str, tuple[int, ...]]:
        _, _, _, _, *clients, end = self.used.read_text().splitlines()
        assert end == "end"
        return {name: tuple(map(int, of)) for name, *of in map(str.split, clients)}

    @property
    def states(self) -> list[Path]:
        """The two states, the newest first."""
        return sorted(self.folder.glob("sums.*"), key=lambda path: -int(path.read_text().split()[1]))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def clock(at: int) -> str:
    return f"EPOCHSECONDS={at}"


def good(ran: subprocess.CompletedProcess[str]) -> None:
    assert (ran.returncode, ran.stderr) == (0, "")


def test_tokens_add_up_by_client_day_and_month(host: Host) -> None:
    good(host.counts(host.logs(TOLD, TOLD.replace("alice", "bob-2")), host.logs(TOLD)))
    assert host.says() == {"alice": (570, 570), "bob-2": (285, 285)}
    ends = [int(datetime(2026, month, day, tzinfo=UTC).timestamp()) for month, day in ((11, 29), (12, 1))]
    head = [
        f"now {START}",
        f"minute {START // 60 * 60 + 60}",
        f"day 2026-11-28 {ends[0]}",
        f"month 2026-11 {ends[1]}",
    ]
    assert host.used.read_text().splitlines()[:4] == head


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("alice 10.0.0.2:11434 200 DC - - 40 text 6400 2000 application/x-ndjson", 204),
        (
            "alice 10.0.0.2:11434 200 - - - 40 text 6400 9000 text/event-stream",
            204,
        ),  # of OpenAI's API, not asked for its usage
        ("alice 10.0.0.2:11434 200 DC - - 40 text 64 30000 application/x-ndjson", 404),
        ("alice 10.0.0.2:11434 0 DC - - 40 text 0 30000 -", 404),
        ("alice 10.0.0.2:11434 504 SI - - 40 text 90 300000 application/json", 3104),
        (
            "alice 10.0.0.2:11434 200 - - - 40 nothing 64000 900 application/json",
            40,
        ),  # the older call for embeddings
        ("alice 10.0.0.2:11434 200 - - - 0 nothing 64000 900 application/json", 0),  # /api/show
        ("alice 10.0.0.2:11434 200 - - - 40 text 6400 20000 text/event-stream", 304),  # it took 20 s
        ("alice 10.0.0.2:11434 200 - - - 40 text 6400 900 application/json", 304),  # it has logprobs
        ("alice 10.0.0.2:11434 200 - - - 40 tools 6400 900 text/event-stream", 1704),
        ("alice 10.0.0.2:11434 200 DC - - 40 nothing 0 30000 -", 404),  # embeddings
        ("alice 10.0.0.2:11434 404 - - - 40 text 90 20 application/json", 0),
        ("alice - 503 UH - - 40 text 90 20000 application/json", 0),
        ("alice - 0 DC - - 40 text 0 30000 -", 0),  # it waited for others of its client
    ],
)
def test_an_answer_that_does_not_say_counts_by_an_estimate(host: Host, line: str, tokens: int) -> None:
    good(host.counts(host.logs(line)))
    assert host.says() == {"alice": (tokens, tokens)}


def test_a_minute_ends_and_is_not_kept(host: Host) -> None:
    good(host.counts(host.logs(TOLD), clock(START + 60), host.logs(TOLD.replace("alice", "bob"))))
    assert host.of_minute() == {"alice": 0, "bob": 285}
    good(host.counts("true", start=START + 60))
    assert host.of_minute() == {"alice": 0, "bob": 0}
    assert host.says() == {"alice": (285, 285), "bob": (285, 285)}


def test_a_day_and_a_month_end_at_midnight_utc(host: Host) -> None:
    steps = [host.logs(TOLD), clock(START + HOUR), host.logs(TOLD), clock(START + 3 * DAY), host.logs(TOLD)]
    good(host.counts(*steps[:3]))
    assert host.says() == {"alice": (285, 570)}
    good(host.counts(*steps[3:], start=START + HOUR))
    assert host.says() == {"alice": (285, 285)}
    assert "month 2026-12 " in host.used.read_text()


def test_a_clock_that_was_wrong_finds_its_sums_again(host: Host) -> None:
    years = START + 1500 * DAY
    good(host.counts(host.logs(TOLD), clock(years), host.logs(TOLD), clock(START), clock(START - HOUR)))
    assert host.says() == {"alice": (285, 285)}
    good(host.counts(start=START))
    assert host.says() == {"alice": (285, 285)}


def test_it_goes_on_where_it_was_left(host: Host) -> None:
    good(host.counts(host.logs(TOLD)))
    with host.log.open("a") as log:  # while it is away, and in the middle of a line
        log.write(f"{TOLD}\n{TOLD[:12]}")
    good(host.counts(f"printf '%s\\n' '{TOLD[12:]}' >>{host.log}"))
    assert host.says() == {"alice": (3 * 285, 3 * 285)}
    good(host.counts())
    assert host.says() == {"alice": (3 * 285, 3 * 285)}


@pytest.mark.parametrize("age", [0, 1], ids=["newest", "older"])
@pytest.mark.parametrize("damage", [b"", b"state 9 1 1 0\nalice", None], ids=["empty", "altered", "missing"])
def test_either_state_is_enough(host: Host, age: int, damage: bytes | None) -> None:
    good(host.counts(*[host.logs(TOLD)] * 4))
    state = host.states[age]
    if damage is None:
        state.unlink()
    else:
        state.write_bytes(damage)
    ran = host.counts(host.logs(TOLD))
    assert ran.returncode == 0
    assert ran.stderr == ("" if damage is None else f"budgets: {state} is damaged, and is left out\n")
    assert host.says() == {"alice": (5 * 285, 5 * 285)}
    good(host.counts())


@pytest.mark.parametrize("cut", [0, 40], ids=["empty", "truncated"])
def test_without_a_whole_state_it_says_nothing(host: Host, cut: int) -> None:
    good(host.counts(host.logs(TOLD), host.logs(TOLD)))
    host.used.unlink()
    for state in host.states:
        state.write_bytes(state.read_bytes()[:cut])
    ran = host.counts()
    assert ran.returncode == 1 and "what was counted is lost" in ran.stderr
    for state in host.folder.glob("sums.*"):
        state.unlink()
    ran = host.counts()  # the log tells that there was something
    assert ran.returncode == 1 and not host.used.exists()
    host.log.write_bytes(b"")
    good(host.counts(host.logs(TOLD)))
    assert host.says() == {"alice": (285, 285)}


def test_a_log_that_was_read_is_emptied_and_nothing_counts_twice(host: Host) -> None:
    good(host.counts(SMALL, host.logs(TOLD), host.logs(TOLD, TOLD), "", host.logs(TOLD), ""))
    assert host.says() == {"alice": (4 * 285, 4 * 285)}
    assert host.log.read_text() == f"{TOLD}\n"
    good(host.counts(host.logs(TOLD)))
    assert host.says() == {"alice": (5 * 285, 5 * 285)}


@pytest.mark.parametrize("emptied", [False, True])
def test_a_death_around_the_emptying_loses_nothing(host: Host, emptied: bool) -> None:
    # it dies once it has noted that the log is about to be emptied
    dies = 'eval "saved() $(declare -f save | tail -n +2)"; save() { saved; ((!emptied)) || exit 7; }'
    assert host.counts(dies, SMALL, host.logs(TOLD, TOLD, TOLD)).returncode == 7
    if emptied:
        host.log.write_bytes(b"")
    with host.log.open("a") as log:
        log.write(f"{TOLD}\n")
    good(host.counts())
    assert host.says() == {"alice": (4 * 285, 4 * 285)}


def test_what_comes_while_the_log_is_to_be_emptied_stays(host: Host) -> None:
    comes = 'eval "saved() $(declare -f save | tail -n +2)"; save() { saved; ((!emptied)) || %s; }'
    good(host.counts(comes % host.logs(TOLD).rstrip(), SMALL, host.logs(TOLD, TOLD, TOLD), "", ""))
    good(host.counts())
    lines = host.log.read_text().count(f"{TOLD}\n")
    assert lines > 3 and host.says()["alice"] == (lines * 285, lines * 285)


def test_another_log_is_read_from_its_start(host: Host) -> None:
    moved = f"mv {host.log} {host.log}.old; echo '{TOLD}' >>{host.log}.old; echo '{TOLD}' >{host.log}"
    good(host.counts(host.logs(TOLD, TOLD), moved))
    assert host.says() == {"alice": (4 * 285, 4 * 285)}
    host.log.rename(host.folder / "away")
    host.log.write_text(f"{TOLD}\n" * 9)
    good(host.counts())
    assert host.says() == {"alice": (13 * 285, 13 * 285)}


def test_a_log_that_lost_its_end_goes_on_from_there(host: Host) -> None:
    good(host.counts(host.logs(TOLD, TOLD)))
    host.log.write_bytes(host.log.read_bytes()[:-9])
    good(host.counts())
    assert host.says() == {"alice": (570, 570)}


@pytest.mark.parametrize(
    "line",
    [
        "x",
        TOLD.replace("26", "-26"),
        TOLD.replace("26", "1e9"),
        TOLD.replace("26", "0x10"),
        TOLD.replace("26", "08"),
        TOLD.replace("26", "a[$(touch was-here)]"),
        TOLD.replace("alice", "Alice"),
        TOLD.replace("alice", "$(touch was-here)"),
        "9" * 300,
        "\\x00\\xff" * 9,
    ],
)
def test_a_line_that_is_none_is_told_and_left_out(host: Host, line: str) -> None:
    lines = host.folder / "lines"
    lines.write_text(f"{TOLD}\n{line}\n{TOLD}\n")
    ran = host.counts(f"cat {lines} >>{host.log}")
    assert ran.stderr == "budgets: a line of the gateway's log cannot be read, and is not counted\n"
    assert host.says() == {"alice": (570, 570)}
    assert not (host.folder / "was-here").exists()


def test_where_there_is_no_space_it_says_nothing_new(host: Host) -> None:
    good(host.counts(host.logs(TOLD)))
    for name in (".used", ".sums"):
        (host.folder / name).symlink_to("/dev/full")
    ran = host.counts(host.logs(TOLD), start=START + 9)
    assert "No space left on device" in ran.stderr and f"now {START}\n" in host.used.read_text()
    for name in (".used", ".sums"):
        (host.folder / name).unlink()
    good(host.counts(start=START + 9))
    assert host.says() == {"alice": (570, 570)}


def healthy(host: Host, seconds: int) -> bool:
    command = ("bash", host.folder / "keeper", "healthy", host.folder, str(seconds))
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_it_is_healthy_while_it_speaks(host: Host) -> None:
    assert not healthy(host, 15)
    now = int(datetime.now(UTC).timestamp())
    good(host.counts(start=now))
    assert healthy(host, 15)
    good(host.counts(start=now - 60))
    assert not healthy(host, 15)
