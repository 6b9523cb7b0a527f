"""Every parser of foreign bytes: good input is read, of spoiled input a few of the cases of `bench.fuzz`.

A case is known by its number: `python -m bench.fuzz --target NAME --case NUMBER` runs it again.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from bench.fuzz import case_of
from sealift.errors import SealiftError
from sealift.release.catalogue import catalogue
from tests.fuzz.from_hosts import facts
from tests.fuzz.judge import judge
from tests.fuzz.registry import targets
from tests.fuzz.target import Target, alone, only

_SEALIFT = Path(__file__).parents[2] / "sealift"
_CASES = 120  # of a target that takes no longer than a small JSON document

# Calls that make something of bytes or text.
_READING = frozenset(
    {
        *("parse_json", "model_validate", "model_validate_json", "validate_python", "validate_json"),
        *("loads", "load", "safe_load", "unpack_from", "from_bytes", "fromstring", "parsestr"),
        *("ZipFile", "GzipFile", "ZstdDecompressor", "TarFile", "getnames", "findall", "splitlines"),
        *("fromisoformat", "strptime", "b64decode"),
    }
)
# What reads, but nothing foreign.
_OWN = {
    "what an operator or a caller says": {
        *("bundle/export.py:_check_name", "release/age.py:version_key", "depot/store.py:Depot.resolve"),
        *("site/clients.py:add_client", "site/clients.py:_changed", "site/clients.py:_roles"),
        *("ssh.py:Ssh.address", "site/secrets.py:_parse_identities", "cli/verify.py:_print"),
    },
    "what sealift, or pyinfra for it, wrote": {
        *(
            "sbom/records.py:Records._load",
            "evidence/expectations.py:read",
            "sources/wheels.py:_remembered",
        ),
        *(
            "cli/ca.py:_print_list",
            "host/judged.py:_Envoy._parsed",
            "fleet/wave.py:_run",
            "operations/generation.py:generation_present",
        ),
        *("depot/fsck.py:_repositories", "depot/repository.py:read_key", "operations/text.py:put_text"),
        "measure/kept.py:read",
        "measure/loops.py:step_of",
        "sbom/python_licences.py:_project",
        "sbom/python_licences.py:_read",
        "rollout/pages.py:_read",
    },
    "lines that a target's function reads": {
        *("site/inventory.py:finish_reading", "fleet/survey.py:survey"),
        "fleet/survey.py:_wanted",
        *(
            "operations/host_store.py:_ship",
            "site/check.py:site_problems",
            "host/probe.py:shell_problems",
            "drift/plan.py:_read",
            "drift/plan.py:diffs",
            "fleet/back.py:went_back",
            "fleet/generations.py:confirm.confirmed",
            "ship/over_chain.py:over_chain.ask",
        ),
        "site/watching.py:_receiver_problems",
        *("drift/status.py:_ask_fleet", "rollout/gate.py:reason", "rollout/engine.py:_do"),
        *("rollout/steps.py:Steps._deploy", "rollout/steps.py:Steps._soak", "rollout/gate.py:errors"),
        *("rollout/steps.py:Steps._undrain", "rollout/steps.py:Steps._tell_what_runs"),
    },
    "what this machine's own tools say": {
        *("install/start.py:signer_of", "sources/apt.py:_update", "sources/apt_config.py:IsolatedApt.make"),
        *("sources/apt_sources.py:blame", "sources/wheels.py:_download", "sources/wheels.py:_explain"),
        *("site/check.py:_ssh_problems", "site/rule_check.py:rule_problems"),
        *("install/commands.py:require", "install/packages.py:_here"),
    },
    "what the media's signed table vouches for": {
        "install/content.py:read_from_media",
        "install/from_media.py:_sealift",
    },
}


@pytest.mark.parametrize("name", sorted(targets()))
def test_good_input_is_read(name: str, tmp_path: Path) -> None:
    for number, seed in enumerate(targets()[name].seeds):
        (tmp_path / str(number)).mkdir()
        targets()[name].read(seed, tmp_path / str(number))


@pytest.mark.parametrize("name", sorted(targets()))
def test_spoiled_input_is_read_or_refused_in_plain_lines(name: str, tmp_path: Path) -> None:
    target = targets()[name]
    for number in range(max(6, _CASES // target.cost)):
        (tmp_path / str(number)).mkdir()
        verdict = judge(target, case_of(target, 1, number), tmp_path / str(number))
        assert not verdict.broken, f"case {number}: {verdict.broken}"


def _sites() -> Iterator[str]:
    """Functions of sealift in which something is read."""
    for path in sorted(_SEALIFT.rglob("*.py")):
        if path.is_relative_to(_SEALIFT / "lab"):  # hosts that sealift itself makes, for tests
            continue
        yield from _reading(ast.parse(path.read_text()), f"{path.relative_to(_SEALIFT)}:")


def _reading(node: ast.AST, inside: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from _reading(child, f"{inside}{'' if inside.endswith(':') else '.'}{child.name}")
            continue
        if isinstance(child, ast.Call):
            called = child.func
            name = getattr(called, "attr", getattr(called, "id", ""))
            if name in _READING:
                yield inside
        yield from _reading(child, inside)


def _run_by_good_input(folder: Path) -> set[str]:
    """Functions of sealift that reading good input runs."""
    ran: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(f"{_SEALIFT}/"):
            path = Path(code.co_filename).relative_to(_SEALIFT)
            ran.add(f"{path}:{code.co_qualname.replace('<locals>.', '')}")

    catalogue.cache_clear()  # read by other tests, it would not be read again
    sys.setprofile(note)
    threading.setprofile(note)
    try:
        for number, target in enumerate(targets().values()):
            for seed_number, seed in enumerate(target.seeds):
                place = folder / f"{number}.{seed_number}"
                place.mkdir()
                target.read(seed, place)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return ran


def test_no_parser_is_forgotten(tmp_path: Path) -> None:
    """A function that reads is run by some target, or is known to read nothing foreign."""
    ran = _run_by_good_input(tmp_path)
    unknown = {site for site in _sites() if site not in ran}
    assert unknown == set().union(*_OWN.values())


def test_every_fact_is_among_the_targets() -> None:
    assert {f"fact {name}" for name in facts()} <= targets().keys()


_GOOD = Target("good", alone(b"good"), lambda case, _: only(case))


def _refuse(message: str) -> None:
    raise SealiftError(message)


def _spend(seconds: float) -> None:
    until = __import__("time").process_time() + seconds
    while __import__("time").process_time() < until:
        pass


@pytest.mark.parametrize(
    ("read", "broken"),
    [
        (lambda *_: None, ""),
        (lambda *_: _refuse("FUZZ: is bad. Mend it."), ""),
        (lambda *_: int("x"), "ValueError"),
        (lambda *_: _refuse("is bad"), "a line that is not ours: 'is bad'"),
        (lambda *_: _refuse("FUZZ: is\nall is well"), "a line that is not ours: 'all is well'"),
        (lambda *_: _refuse(" "), "an empty message"),
        (lambda *_: _spend(2.1), "takes 2.1 s"),
        (lambda *_: bytes(300 << 20), "MemoryError"),
        (lambda _, folder: (folder / "inside").write_bytes(b""), ""),
        (lambda _, folder: (folder.parent / "outside").write_bytes(b""), "writes ["),
        (lambda _, folder: (folder.parent / "outside").mkdir(), "writes ["),
        (lambda _, folder: (folder / "link").symlink_to("..") or (folder / "link/x").touch(), "writes ["),
    ],
)
def test_the_judge_sees_what_is_wrong(read: object, broken: str, tmp_path: Path) -> None:
    assert callable(read)
    (tmp_path / "case").mkdir()
    target = Target("judged", alone(b""), read)
    verdict = judge(target, target.seeds[0], tmp_path / "case")
    assert (broken in verdict.broken) if broken else not verdict.broken


def test_the_same_number_is_the_same_case() -> None:
    made = [case_of(targets()["lock"], 1, number) for number in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
