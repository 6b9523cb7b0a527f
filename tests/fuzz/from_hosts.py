"""What hosts and their tools answer to a closed site, and what pyinfra says of them."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from pyinfra.api import FactProcessError

import sealift.facts
from sealift.clients.budgets import parse_sums
from sealift.clients.usage import parse_log, sum_up
from sealift.depot.needed import needed_blobs
from sealift.errors import SealiftError
from sealift.evidence import junit, page
from sealift.facts.engine import EngineFact
from sealift.facts.fact import FactBase
from sealift.facts.nvidia import Merged
from sealift.files import canonical_json, parse_json
from sealift.fleet.ask import _parse
from sealift.fleet.blob_check import parse_damaged
from sealift.fleet.figures import parse_figures
from sealift.fleet.status import parse_status
from sealift.host.daemon_json import merged_daemon_json
from sealift.host.engine import line, says, sees
from sealift.host.preflight import check
from sealift.host.probe import parse_probe
from sealift.host.settings import DockerSettings
from sealift.host_paths import CURRENT
from sealift.live.drain import parse_running, parse_sick
from sealift.live.push import parse_stands
from sealift.quality.judge import judged
from sealift.release.questions import Pair, Question
from sealift.ship.plan import parse_listing, plan
from sealift.site.drained import parse_drained
from sealift.site.inventory import complaint, parse_inventory
from sealift.ssh import Ssh
from sealift.watch import page as watch_page
from sealift.watch.figures import window
from sealift.watch.prometheus import parse_answers
from tests.fuzz.mutate import Case
from tests.fuzz.target import Target, alone, only
from tests.unit import fleet_site, test_evidence
from tests.unit.docker_said import container, failed, image, listed, loaded, networks, policy, server
from tests.unit.probed import GOOD
from tests.unit.test_ask import GOOD as ANSWER
from tests.unit.test_fleet import STATUS

_QUESTION = Question.model_validate_json(
    '{"ask": "How?", "must_not": ["x", "/(a+)+$/"], "format": {"type": "object", "required": ["mood"],'
    ' "properties": {"mood": {"type": "array", "items": {"type": "string", "enum": ["glad", "sad"]}}}}}'
)
_PAIR = Pair(texts=("a", "b"), at_least=0.5)
_NOW, _WHERE = datetime(2026, 11, 21, 12, tzinfo=UTC), Path("inventories/FUZZ")


def _complaint(case: Case, _: Path) -> object:
    return Ssh("FUZZ", _WHERE).failure(1, only(case))


def _listing(case: Case, _: Path) -> object:
    have = parse_listing("FUZZ", _lines(case))
    return plan(needed_blobs(fleet_site.lock(), frozenset()), have)


def _probe(case: Case, _: Path) -> object:
    facts = parse_probe("FUZZ", "\n".join(_lines(case)))
    problems = check("FUZZ", facts, fleet_site.site_settings(), fleet_site.lock(), frozenset(), None, 0, _NOW)
    return [str(problem) for problem in problems]


def _status(case: Case, _: Path) -> object:
    return parse_status("FUZZ", "\n".join(_lines(case)))


def _golden(case: Case, _: Path) -> object:
    try:
        said = json.loads(only(case))
    except (ValueError, RecursionError):
        raise SealiftError("FUZZ: is no JSON") from None
    return [judged("FUZZ", golden, lambda *_: said) for golden in (_QUESTION, _PAIR)]


def _stands(case: Case, _: Path) -> object:
    return parse_stands("FUZZ", "\n".join(_lines(case)))


def _damaged(case: Case, _: Path) -> object:
    return parse_damaged("FUZZ", "\n".join(_lines(case)), fleet_site.lock())


def _sums(case: Case, _: Path) -> object:
    return parse_sums("FUZZ", only(case).decode(errors="replace"))


def _usage(case: Case, _: Path) -> object:
    return sum_up({"FUZZ": parse_log("\n".join(_lines(case)))}, "client")


def _figures(case: Case, _: Path) -> object:
    answers = parse_answers("FUZZ", ("firing", "host-cpu.0"), only(case).decode(errors="replace"))
    return watch_page.render("FUZZ", ("h1",), answers, window(1795967498, 600))


def _inventory(case: Case, _: Path) -> object:
    return parse_inventory(_WHERE, parse_json(only(case), str(_WHERE)))


def _junit(case: Case, _: Path) -> object:
    evidence = test_evidence._evidence(*junit.parse(only(case), "FUZZ"))
    return junit.render(evidence), page.render(evidence), canonical_json(evidence.model_dump(mode="json"))


def _answer(case: Case, _: Path) -> object:
    answer = requests.Response()
    answer._content = only(case)
    return _parse("FUZZ", answer)


def _lines(case: Case) -> list[str]:
    return only(case).decode(errors="replace").splitlines()


def facts() -> dict[str, type[FactBase[Any]]]:
    """Every fact of ours, by name."""
    modules = [
        importlib.import_module(f"sealift.facts.{found.name}")
        for found in pkgutil.iter_modules(sealift.facts.__path__)
    ]
    return {
        name: fact
        for module in modules
        for name, fact in vars(module).items()
        if isinstance(fact, type)
        and issubclass(fact, FactBase)
        and fact not in (FactBase, EngineFact)
        and fact.__module__ == module.__name__
    }


_SAID = {
    "InstalledPackages": "ii \tdash\t0.5\nrc \tgone\t1\njournal",
    "ComposeContainers": f"asked p\nhash p a 12ef\n{listed(container('p', 'running', 'healthy', name='p'))}\n"
    + line(sees("p", "/etc/x"), f"p {'0' * 64}"),
    "Daemon": "UnitFileState=enabled\nActiveState=active\n"
    "ExecMainStartTimestamp=Sat 2026-11-21 12:28:11.123456 UTC\nConfigured=1795262400.5",
    "GenerationFiles": f"entry\t\t700\td\nentry\ta\t600\tf\n{'0' * 64}  ./a",
    "HostStore": "free 1",
    "Images": f"{server(DriverStatus=[['driver-type', 'overlay2']])}\n{image('a', 'b', layers=('c',))}",
    "LiveVersions": line(says("p", 9901, "/stats"), 'lds.version_text: "12ef"'),
    "Networks": networks("bridge", "sealift-inner"),
    "Models": f"store\ta\t1\t1.0000000000\t7\nplaced\tsha256-a\t1\t1.5\t7\n{'0' * 64}  ./b",
    "MergedDaemonJson": "{}",
    "RulesAndRunning": f"-N DOCKER\n{listed(container('p', 'running', 'healthy', name='p'))}",
    "StandingAndMerged": f"{'0' * 64}  -\n644\nmerged:\n{{}}",
    "Root": "/data/sealift",
    "PackageLock": "/var/lib/dpkg/lock-frontend\t7\tapt",
    "StoreAccess": "d\t777\t0:0\t/var/lib/sealift",
    "NvidiaCdi": "driver 570.1\ncurrent",
    "PlainFile": f"f\t0:0\t755\n{'0' * 64}  -",
    "FileList": "/usr/local/bin/tool",
    "Probe": GOOD,
    "TextFile": f"{'0' * 64}  -\n644",
    "Links": "a\t/b",
}
"""What each fact hears from a good host."""


def _fact(kind: type[FactBase[Any]]) -> Callable[[Case, Path], object]:
    def read(case: Case, _: Path) -> object:
        try:
            heard = kind().process(_lines(case))
            return merged_daemon_json(heard.merged, _PROXY) if isinstance(heard, Merged) else heard
        except FactProcessError as error:  # what pyinfra ends a host's turn with, without a traceback
            raise SealiftError(f"FUZZ: {str(error)[:200]!r}") from None

    return read


_HEX = "0" * 64
_PROXY = DockerSettings(proxies={"http-proxy": "http://me:pass@proxy.lan:3128"})
_CONTAINER = container("shop", "running", name="web", Ports=[{"PrivatePort": 80, "PublicPort": 8443}])
_DOCKERS = "\n".join((server(), listed(_CONTAINER), policy("web", "no"), image("sha256:a", "b")))
_DOCKER = 'configuration=/etc/docker/daemon.json site\ndaemon_json={"log-opts": {"max-size": "1g"}}'
_DOCKER += f"\nroot=link /data/sealift\n{_DOCKERS}"
_INVENTORY = [{"name": "FUZZ", "groups": ["llm"], "data": {**fleet_site.DATA, "ollama": {"cpus": 1.5}}}]
_LISTING = f"blob {_HEX} 7 1.0000000000 444\npartial {'1' * 64} 3\nfree 65536\n".encode()


def targets() -> tuple[Target, ...]:
    """All of them."""
    facts_heard = (
        Target(
            f"fact {name}", alone(_SAID.get(name, "").encode()), _fact(kind), (b"\t", b"  ", b"  ./", b"|")
        )
        for name, kind in sorted(facts().items())
    )
    return (
        Target("listing of a host store", alone(_LISTING), _listing, (b"blob ", b"partial ", b"free ")),
        Target(
            "probe of a host",
            alone(GOOD.replace("end=", f"{_DOCKER}\nend=").encode()),
            _probe,
            (
                b"listener=",
                b"end=",
                b"engine=containers\tall [",
                b"engine=info\t",
                b"engine=fails\t",
                b'"PublicPort":',
                b"root=link ",
            ),
        ),
        Target(
            "status of a host",
            alone(f"{loaded('chat:latest')}\n{failed('embed', 'no room')}\n{STATUS}".encode()),
            _status,
            (b"release={", b"model=", b"engine=", b'"models":', b"runners "),
        ),
        Target(
            "generations of a host",
            alone(f"sealift-generation={CURRENT} {'0' * 12}\n{_SAID['GenerationFiles']}".encode()),
            _stands,
            (b"entry\t", b"sealift-generation="),
        ),
        Target(
            "hashes of a host's blobs",
            alone(f"damaged={_HEX}\nend=".encode()),
            _damaged,
            (b"damaged=", b"end="),
        ),
        Target(
            "log of a host's gateway",
            alone(
                b'begins={"time":"2026-11-29T08:00:00.000Z","status":200,"duration_ms":1}\n'
                b'{"time":"2026-11-29T08:00:00.000Z","client":"c","status":200,'
                b'"duration_ms":1,"role":"chat","tokens_in":1,"tokens_out":2,"out_ms":3}'
            ),
            _usage,
            (b"begins=", b'"tokens_in":'),
        ),
        Target(
            "answer to a golden question",
            alone(
                b'{"message":{"role":"assistant","content":"{\\"mood\\":[\\"sad\\"]}"},"embeddings":[[1,0.5],[1,2]]}'
            ),
            _golden,
            (b'"content":', b'"embeddings":', b"1e999", b"NaN"),
        ),
        Target(
            "figures of Prometheus",
            alone(
                b'ok [{"metric":{"host":"h1"},"values":[[1795967438,"1.5e+06"],[1795967448,"NaN"]]}]\n'
                b"failed query error: bad_data\n"
            ),
            _figures,
            (b"ok ", b"failed ", b'"values":', b"+Inf"),
            cost=20,
        ),
        Target(
            "what a front door says of hosts",
            alone(
                b"hosts::[::1]:8443::rq_active::2\nhosts::[::1]:8443::rq_pending_active::0\n"
                b"hosts::[::1]:8443::hostname::h1\nhosts::[::1]:8443::health_flags::/failed_active_hc"
            ),
            lambda case, _: [parse_sick(t := "\n".join(_lines(case))), parse_running("FUZZ", t, ("h1",))],
            (b"hosts::", b"::rq_active::", b"::hostname::h1", b"::health_flags::"),
        ),
        Target("drained hosts", alone(b"h1\nh2\n"), lambda case, _: parse_drained(only(case), _WHERE)),
        Target(
            "what a probe measured",
            alone(b'sealift_role_up{role="chat",model="m"} 1\nsealift_gpu_watts{gpu="0",name="H \\"2"} 7\n'),
            lambda case, _: parse_figures(0, only(case).decode(errors="replace").splitlines()),
            (b"sealift_role_", b'{role="', b'"} '),
        ),
        Target(
            "what clients with a budget used",
            alone(b"100\nnow 99\nminute 120\nday 2026-11-29 200\nmonth 2026-11 300\nshop 0 1 2\nend\n"),
            _sums,
            (b"\nnow ", b"\nend\n"),
        ),
        Target("inventory", alone(json.dumps(_INVENTORY).encode()), _inventory, where="inventor", cost=2),
        Target("complaint of a host", alone(b"ssh: x\nsh: 1: no such thing\n"), _complaint),
        Target("pyinfra's log", alone(b"--> a\n  error\n"), lambda case, _: complaint(only(case))),
        Target(
            "report of pytest",
            alone(test_evidence.REPORT),
            _junit,
            (b"<testcase ", b"&#10;", b"<!DOCTYPE", b"time="),
            cost=10,
        ),
        Target("answer of a model", alone(json.dumps(ANSWER).encode()), _answer),
        *facts_heard,
    )
