"""What is made of pyinfra's own words: which host failed, where, and why."""

from __future__ import annotations

import pytest

from sealift.fleet.pyinfra_log import REFUSED, TELLS, PyinfraLog

AT = "    --> Starting operation: Images | Load image ollama "


def read(*lines: str) -> PyinfraLog:
    log = PyinfraLog()
    for line in (AT, *lines):
        log.read(line)
    return log


def test_where_pyinfra_is_and_what_an_operation_tells() -> None:
    log = PyinfraLog()
    assert log.operation == ""
    assert log.read(AT) is None
    assert log.operation == "Images | Load image ollama"
    told = log.read(f"    [h1]   {TELLS}waits for process 7 (apt\x1b[2J), for 600 s at most")
    assert told == "h1: waits for process 7 (apt?[2J), for 600 s at most"
    assert log.read("    [h1] Success") is None
    assert log.failures == ()


def test_each_host_that_failed_is_named_with_its_last_words() -> None:
    log = read(
        "    [h1] tar: x: Cannot open",
        "    [gpu2] invalid tar header.",
        "    [h1] Error: executed 0 commands",
        "    [gpu2] Error: executed 2 commands",
        "--> pyinfra error: No hosts remaining!",
    )
    assert log.failures == (
        "h1: failed at 'Images | Load image ollama': tar: x: Cannot open.",
        "gpu2: failed at 'Images | Load image ollama': invalid tar header.",
    )


@pytest.mark.parametrize(
    "said",
    [
        [],
        ["    [h1] Command socket/SSH error: ConnectionResetError: reset by peer"],
        ["    [h1] Command IO error: OSError: Socket is closed"],
    ],
)
def test_a_host_that_was_lost_is_called_lost(said: list[str]) -> None:
    (failure,) = read(*said, "    [h1] Error: executed 0 commands").failures
    assert failure.startswith("h1: the connection was cut or the command there was killed")
    assert failure.endswith("Look at the host and the network: sealift status.")


def test_a_refusal_names_each_host_once_with_its_first_problem() -> None:
    problems = (
        "h2: its clock is 900 s ahead, expected at most 300 s. Set it.",
        "h2: no disk.",
        "h3: no sudo.",
    )
    log = read(f"--> pyinfra error in /srv/tasks/preflight.py line 42: {REFUSED}", *problems)
    assert log.failures == (problems[0], problems[2])
    told_by_a_host = read(f"    [h1] --> pyinfra error in x line 1: {REFUSED}", *problems)
    assert told_by_a_host.failures == ()


def test_a_host_without_space_is_told_where_it_lacks() -> None:
    full = "Error response from daemon: write /var/lib/docker/tmp/x/layer.tar: no space left on device"
    log = read(
        f"    [h1] {full}",
        "    [h1] tar: -: Wrote only 4096 of 10240 bytes",
        "    [h1] Error: executed 0 commands",
    )
    assert log.failures == (
        f"h1: has no space left, at 'Images | Load image ollama': {full}. Make room there: df -h.",
    )


def test_a_host_that_cannot_be_asked_was_cut_off_or_has_no_sudo() -> None:
    fact = "Error: could not load fact: sealift.facts.preflight.Probe "
    (cut,) = read("    [h1] uid=0", f"    [h1] {fact}").failures
    assert cut.startswith("h1: the connection was cut") and "uid=0" not in cut
    (refused,) = read("    [h1] sudo: a password is required", f"    [h1] {fact}").failures
    assert refused == "h1: failed at 'Images | Load image ollama': sudo: a password is required."


def test_a_connection_that_ends_in_pyinfras_own_traceback_is_told_by_host() -> None:
    ended = (
        "<Greenlet at 0x7f: _run_host_op_with_context(<State object at 0x7f>, Host(gpu-1), 'ab')> failed with"
    )
    log = read("Traceback (most recent call last):", "EOFError", f"2026-11-29T05:38:08Z {ended} EOFError")
    (cut,) = log.failures
    assert cut.startswith("gpu-1: the connection was cut or the command there was killed, at 'Images")


def test_no_host_can_say_that_another_was_lost() -> None:
    ended = "<Greenlet at 0x7f: f(Host(h2)) failed with EOFError"
    assert read(f"    [h1] {ended}", f"    [h1] 2026-11-29T05:38:08Z {ended}", f"said {ended}").failures == ()


def test_what_was_said_of_an_operation_before_is_no_reason() -> None:
    log = read("    [h1] a warning", "    [h1] Success", AT, "    [h1] Error: executed 0 commands")
    assert "a warning" not in log.failures[0]
