"""What a site's Prometheus says. It is published nowhere, so it is asked in its own container, over SSH.

All questions of a page go in one command. Source of what promtool prints: `promtool query --format=json`,
which is the `result` of Prometheus' HTTP API. Tried with Debian's 2.53.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from sealift.errors import SealiftError, one_line
from sealift.files import parse_json
from sealift.release.values import Foreign
from sealift.services import MONITOR_GROUP, PROMETHEUS
from sealift.site.inventory import Host
from sealift.ssh import Ssh

_PROJECT = PROMETHEUS.project
_URL = "http://localhost:9090"
_TIMEOUT_S = 300  # for all questions together
_MOST = 64_000_000  # bytes of all answers
_SERIES = 5000  # of one answer
_POINTS = 11_000  # of one series, as Prometheus itself has it
_LABEL = 1000  # characters
_NUMBER = re.compile(r"[+-]?(Inf|[0-9]{1,400}(\.[0-9]{1,400})?(e[+-]?[0-9]{1,3})?)|NaN")
_ABSENT = "absent"
# $1: the Compose project, $2: what runs in the container for each question.
_ASK = f"""\
set -eu
id=$(docker ps --quiet --filter label=com.docker.compose.project="$1" | head -n 1)
[ -n "$id" ] || {{ echo {_ABSENT}; exit 0; }}
docker exec -i "$id" sh -c "$2" | head -c {_MOST}
"""
_EACH = f"""\
while read -r kind start end step expression; do
  case $kind in
    instant) set -- --time="$start" ;;
    range) set -- --start="$start" --end="$end" --step="$step" ;;
  esac
  if said=$(promtool query "$kind" --format=json "$@" -- {_URL} "$expression" 2>&1 </dev/null)
  then printf 'ok %s\\n' "$said"
  else printf 'failed %s\\n' "$said" | tr '\\n' ' '; echo
  fi
done
"""


@dataclass(frozen=True)
class Window:
    """A stretch of time that is asked about.

    + start, end: seconds since 1970
    + step_s: seconds from one point to the next
    """

    start: int
    end: int
    step_s: int


@dataclass(frozen=True)
class Question:
    """What Prometheus is asked.

    + expression: PromQL
    + window: without one, the question is about `at`
    """

    expression: str
    window: Window | None = None


@dataclass(frozen=True)
class Series:
    """One line of an answer.

    + points: seconds since 1970, and the value, which may be no number or without bound
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Answers:
    """What a Prometheus answered.

    + host: that it runs on
    + found: by question
    + failed: what it says of questions that it did not answer
    """

    host: str
    found: Mapping[str, tuple[Series, ...]]
    failed: Mapping[str, str]

    def of(self, question: str) -> tuple[Series, ...]:
        """What was found; nothing where the question failed."""
        return self.found.get(question, ())


_Time = Annotated[float, Field(ge=0, le=1e11)]
_Value = Annotated[str, StringConstraints(max_length=1000, pattern=rf"^({_NUMBER.pattern})$")]
_Point = tuple[_Time, _Value]
_Label = Annotated[str, StringConstraints(max_length=_LABEL)]


class _Line(Foreign):
    metric: dict[_Label, _Label]
    value: _Point | None = None
    values: Annotated[tuple[_Point, ...], Field(max_length=_POINTS)] = ()


_LINES = TypeAdapter(Annotated[tuple[_Line, ...], Field(max_length=_SERIES)])
_POINT = TypeAdapter(_Point)


def monitors(site: str, hosts: Sequence[Host]) -> tuple[Host, ...]:
    """Those of some hosts that run Prometheus.

    + site: its name, for the message

    Raises SealiftError where there is none.
    """
    found = tuple(host for host in hosts if MONITOR_GROUP in host.groups)
    if not found:
        raise SealiftError(
            f"{site}: no host of group {MONITOR_GROUP}, expected one that runs Prometheus. Add a list "
            f"{MONITOR_GROUP} to your inventory, and apply a release with the image prometheus."
        )
    return found


def ask(
    hosts: Sequence[Host], questions: Mapping[str, Question], at: int, timeout_s: float = _TIMEOUT_S
) -> Answers:
    """Ask the first Prometheus that answers.

    + hosts: of the group monitor
    + questions: by a name of yours
    + at: seconds since 1970
    + timeout_s: seconds for all questions to one of the hosts

    Raises SealiftError with each host's reason where none answers.
    """
    wrong = []
    for host in hosts:
        try:
            return ask_one(host.ssh, questions, at, timeout_s)
        except SealiftError as error:
            wrong.append(str(error))
    raise SealiftError("\n".join(wrong))


def ask_one(ssh: Ssh, questions: Mapping[str, Question], at: int, timeout_s: float = _TIMEOUT_S) -> Answers:
    """As `ask`, of one host."""
    said = "".join(_line(question, at) for question in questions.values())
    text = ssh.run_with(_ASK, said.encode(), _PROJECT, _EACH, timeout_s=timeout_s)
    return parse_answers(ssh.host, tuple(questions), text)


def _line(question: Question, at: int) -> str:
    expression, window = " ".join(question.expression.split()), question.window
    if window is None:
        return f"instant {at} - - {expression}\n"
    return f"range {window.start} {window.end} {window.step_s}s {expression}\n"


def parse_answers(host: str, questions: Sequence[str], text: str) -> Answers:
    """Read what the host printed: a line for each question.

    Raises SealiftError where Prometheus does not run or answer, and on anything that it would not say.
    """
    lines = text.split("\n")[:-1]
    if lines == [_ABSENT]:
        raise SealiftError(f"{host}: Prometheus does not run there, expected it to. Run: sealift status")
    if len(lines) != len(questions):
        raise SealiftError(
            f"{host}: Prometheus answers {len(lines)} of {len(questions)} questions, expected all within "
            f"{_MOST // 1_000_000} MB. Ask for less time."
        )
    found: dict[str, tuple[Series, ...]] = {}
    failed: dict[str, str] = {}
    for question, line in zip(questions, lines, strict=True):
        verdict, _, said = line.partition(" ")
        if verdict == "ok":
            found[question] = _series(f"{host}: what Prometheus says of {question}", said)
        else:
            failed[question] = one_line(said.strip())[:300]
    if failed and not found:
        raise SealiftError(
            f"{host}: Prometheus answers nothing ({next(iter(failed.values()))}), expected figures. "
            f"Look at its log there: docker logs {_PROJECT}-prometheus-1"
        )
    return Answers(host, found, failed)


def _series(where: str, said: str) -> tuple[Series, ...]:
    raw = parse_json(said.encode(), where)
    try:
        if _is_scalar(raw):
            return (Series({}, _points((_POINT.validate_python(tuple(raw)),))),)
        lines = _LINES.validate_python(raw)
    except ValidationError as error:
        place = one_line(".".join(map(str, error.errors()[0]["loc"])))[:100]
        raise SealiftError(
            f"{where}: is no list of series ({place or 'all of it'}), expected what promtool 2.53 prints. "
            "Look at the version of its image."
        ) from None
    made = ((line.metric, (line.value,) if line.value else line.values) for line in lines)
    return tuple(
        Series({one_line(name): one_line(value) for name, value in metric.items()}, _points(points))
        for metric, points in made
        if points
    )


def _is_scalar(raw: Any) -> bool:
    return isinstance(raw, list) and len(raw) == 2 and isinstance(raw[1], str)


def _points(points: Sequence[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    return tuple((time, float(value)) for time, value in points)
