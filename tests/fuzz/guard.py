"""The gateway's guard without Envoy, and what Ollama would read: both judge many bodies at once.

The guard runs in LuaJIT, as it does in Envoy. Ollama's reading is Go's encoding/json with Ollama's own types
(tests/go/decode).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sealift.host.client_inputs import CLIENT_HEADER
from sealift.host.inputs import Guard
from tests.fuzz.bodies import CONTEXT, LOAD, Body

_CHECKOUT = Path(__file__).parents[2]
CLIENT = "alice"
ALLOWED = ("chat", "embed")  # what the client may ask for
MODELS = ("chat", "chat:latest", "embed", "embed:latest")  # the same as Ollama names it
ROLES = (*ALLOWED, "secret")  # of the host
REFUSE, IGNORE = (Guard(mode, CONTEXT, ROLES) for mode in ("refuse", "ignore"))
ROOMY = Guard("ignore", 2 * CONTEXT, ROLES)  # for a client with a context of its own
# What a host has, and the client's own context; 0 is none.
MODES = {"refuse": (REFUSE, 0), "ignore": (IGNORE, 0), "own context": (ROOMY, CONTEXT)}
_ANSWER = re.compile(
    rb"pass (?P<role>\S+) (?P<ignored>\S+) (?P<length>\d+)\n"
    rb"|refuse (?P<status>\d+) (?P<code>\S+) (?P<message>[^\n]+)\n"
)


@dataclass(frozen=True)
class Verdict:
    """What the guard says.

    + role: of a body that passes
    + ignored: keys that were taken out
    + content: what passes
    + status: of a refusal; 200 where it passes
    """

    role: str = ""
    ignored: str = ""
    content: bytes = b""
    status: int = 200
    code: str = ""
    message: str = ""


@dataclass(frozen=True)
class Seen:
    """What Ollama would act on.

    + error: with which it answers 400
    + load: what would load the model anew
    + rest: everything else, in one form
    """

    model: str
    keep_alive: int | None
    load: Mapping[str, Any]
    rest: str
    error: str = ""


def source(rules: Guard) -> str:
    """The text that Envoy runs."""
    environment = Environment(  # noqa: S701 - YAML, as sealift.host.generation renders it
        loader=FileSystemLoader(_CHECKOUT / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    template = environment.get_template("gateway/live/guard.yaml.j2")
    live = yaml.safe_load(template.render(client_header=CLIENT_HEADER, guard=rules, version=""))
    text: str = live["resources"][0]["typed_config"]["default_source_code"]["inline_string"]
    return text


def judge(text: str, bodies: Sequence[Body], folder: Path, context: int = 0) -> list[Verdict]:
    """Let the guard judge.

    + text: that Envoy runs
    + folder: where it is put
    + context: the client's own; 0 is none
    """
    (folder / "guard.lua").write_text(text)
    script, given = str(_CHECKOUT / "tests/lua/judge.lua"), str(folder / "guard.lua")
    program = ("luajit", script, given, CLIENT, str(context), *ALLOWED)
    said, at, verdicts = _run(program, bodies), 0, []
    while at < len(said):
        match = _ANSWER.match(said, at)
        assert match, said[at : at + 200]
        at = match.end()
        if match["status"]:
            code, message = match["code"].decode(), match["message"].decode()
            verdicts.append(Verdict(status=int(match["status"]), code=code, message=message))
        else:
            content = said[at : at + int(match["length"])]
            at += len(content)
            verdicts.append(Verdict(match["role"].decode(), match["ignored"].decode(), content))
    assert len(verdicts) == len(bodies)
    return verdicts


def seconds(text: str, body: Body, times: int, folder: Path) -> float:
    """The shortest of the guard's processor times for a body that passes.

    + text: that Envoy runs
    + times: how often it is judged
    """
    (folder / "guard.lua").write_text(text)
    (folder / "body").write_bytes(body.content)
    command = ("luajit", str(_CHECKOUT / "tests/lua/time.lua"), str(folder / "guard.lua"), body.path)
    said = subprocess.run(
        (*command, str(folder / "body"), str(times)), check=True, capture_output=True, text=True
    ).stdout
    return min(map(float, said.split()))


def build_decoder(go: Path, folder: Path) -> Path:
    """Build what reads as Ollama does.

    + go: the command
    """
    program = folder / "decode"
    own = {"GOCACHE": str(folder / "go-cache"), "GOTOOLCHAIN": "local", "GOFLAGS": "", "GO111MODULE": "on"}
    command = (str(go), "build", "-o", str(program), str(_CHECKOUT / "tests/go/decode/main.go"))
    subprocess.run(command, check=True, env={**os.environ, **own})
    return program


def decode(decoder: Path, bodies: Sequence[Body]) -> list[Seen]:
    """What Ollama would read in bodies."""
    seen = [Seen(**json.loads(line)) for line in _run((str(decoder),), bodies).splitlines()]
    assert len(seen) == len(bodies)
    return seen


def bypass(verdict: Verdict, seen: Seen, original: Seen) -> str:
    """Why a body that passed should not have; empty where it may pass.

    + seen: of what passes
    + original: of what was sent
    """
    if seen.error:  # Ollama refuses it
        return "" if original.error else f"was broken: {seen.error}"
    found = []
    if seen.model not in MODELS or seen.model.removesuffix(":latest") != verdict.role:
        found.append(f"the guard reads {verdict.role!r}, Ollama {seen.model!r}")
    if seen.keep_alive is not None:
        found.append(f"keep_alive {seen.keep_alive}")
    if seen.load.get("num_ctx") not in (None, CONTEXT):
        found.append(f"num_ctx {seen.load['num_ctx']}")
    asked = original.load.get("num_ctx")
    if isinstance(asked, int | float) and asked > CONTEXT:
        found.append(f"asked for num_ctx {asked}")
    found += [f"{name} {seen.load[name]}" for name in LOAD if name in seen.load]
    if seen.rest != original.rest:
        found.append(f"was changed: {original.rest} to {seen.rest}")
    return "; ".join(found)


def bypasses(
    text: str, bodies: Sequence[Body], decoder: Path, folder: Path, context: int = 0
) -> tuple[int, list[str]]:
    """How many bodies pass, and of those that should not have, why.

    + text: of the guard
    + context: the client's own; 0 is none
    """
    verdicts = judge(text, bodies, folder, context)
    passing = [
        (body, verdict) for body, verdict in zip(bodies, verdicts, strict=True) if verdict.status == 200
    ]
    changed = decode(decoder, [Body(body.path, verdict.content) for body, verdict in passing])
    original = decode(decoder, [body for body, _ in passing])
    found = []
    for (body, verdict), seen, before in zip(passing, changed, original, strict=True):
        if reason := bypass(verdict, seen, before):
            found.append(f"{body.path} {body.content!r}: {reason}")
    return len(passing), found


def _run(command: Sequence[str], bodies: Sequence[Body]) -> bytes:
    asked = b"".join(b"%s %d\n%s" % (body.path.encode(), len(body.content), body.content) for body in bodies)
    result = subprocess.run(command, input=asked, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout
