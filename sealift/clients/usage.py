"""What the gateways' clients used: tokens, requests and times, out of the gateways' access logs.

Docker keeps as much of a log as `docker.log_max_size` and `docker.log_max_file` say, and none of a container
that was made anew: how far back each host's log goes is part of what is found.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sealift.errors import SealiftError, printable
from sealift.host.settings import DockerSettings
from sealift.services import GATEWAY
from sealift.site.inventory import Host
from sealift.ssh import MOST, on_all

By = Literal["client", "role", "host"]
Source = Literal["logs", "prometheus", "both"]
_Count = Annotated[int, Field(ge=0)]
_DIGITS = re.compile("[0-9]{1,15}")
_NO_ROLE = "-"  # of a request that asks no model, such as GET /api/tags
_SINCE = re.compile(r"([0-9]{1,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LIMIT_S = 600  # a log of 30 MB over a slow link
# As Docker reads `max-size`. Source: units.FromHumanSize of github.com/docker/go-units
_LOG_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9}
_BEGINS = "begins="
_SHOWS = "/api/show"  # asks about a model, not the model
_STREAMS = ("application/x-ndjson", "text/event-stream")
# $1: the Compose project, $2: since when. Envoy's own log goes to standard error.
_READ = f"""\
set -eu
id=$(docker ps --all --quiet --filter label=com.docker.compose.project="$1" | head -n 1)
[ -n "$id" ] || exit 0
docker logs "$id" 2>/dev/null | head -n 1 | sed 's/^/{_BEGINS}/'
docker logs --since "$2" "$id" 2>/dev/null
"""


def _told(given: object) -> object:
    """The gateway's script tells numbers as text."""
    return int(given) if isinstance(given, str) and _DIGITS.fullmatch(given) else given


_Told = Annotated[_Count, BeforeValidator(_told)]


class Entry(BaseModel):
    """A line of a gateway's access log, as templates/gateway/live/listener.yaml.j2 writes it.

    + first_byte_ms: until Ollama's answer began
    + out_ms: that Ollama spent on the answer's tokens alone; its own API says it, OpenAI's does not
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    time: Annotated[AwareDatetime, Field(strict=False)]
    client: str | None = None
    role: str | None = None
    status: int
    path: str | None = None
    type: str | None = None
    first_byte_ms: _Count | None = None
    duration_ms: _Count
    tokens_in: _Told | None = None
    tokens_out: _Told | None = None
    load_ms: _Told | None = None
    out_ms: _Told | None = None


@dataclass(frozen=True)
class Log:
    """What a host's gateway noted.

    + begins: of its first line that is still there; None where there is none
    """

    entries: tuple[Entry, ...]
    begins: datetime | None


@dataclass(frozen=True)
class Usage:
    """What was used by somebody.

    + refused: requests that were answered with 400 or more
    + unknown: answers that do not say their tokens: cut streams, and OpenAI streams that were not asked to
    + first_token_ms: median over streams; None without any
    + answer_ms: median over answers of models
    + tokens_per_second: out of a model, over all answers that say their time; None where none does
    + load_ms: that requests waited for models to be loaded, in sum
    + source: what knows all this; Prometheus knows nothing of what is None. Of "both", only
      requests and tokens are of both
    """

    requests: int
    refused: int | None
    unknown: int | None
    tokens_in: int
    tokens_out: int
    first_token_ms: int | None
    answer_ms: int | None
    tokens_per_second: float | None
    load_ms: int | None
    source: Source


def parse_since(text: str) -> timedelta:
    """Read how far back: a number with m, h or d, such as 30d. Raises SealiftError where it is none."""
    match = _SINCE.fullmatch(text)
    if not match:
        raise SealiftError(f"--since: {printable(text)} is no time, expected one such as 45m, 12h or 30d.")
    return int(match[1]) * _UNITS[match[2]]


def read_logs(hosts: Iterable[Host], since: datetime) -> Mapping[str, Log]:
    """Read the gateways' logs on all hosts at once.

    + since: in UTC; what is older is left out

    Raises SealiftError where a host does not answer.
    """
    by_name = {host.name: host for host in hosts}
    start = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def read(name: str) -> Log:
        host = by_name[name]
        most = MOST + _kept(host.settings.docker)  # what Docker adds to each line is more than we do
        return parse_log(host.ssh.run(_READ, GATEWAY.project, start, timeout_s=_LIMIT_S, most=most))

    return on_all(list(by_name), read).all()


def _kept(docker: DockerSettings) -> int:
    """Bytes of a container's log that Docker keeps at most."""
    return int(docker.log_max_size[:-1]) * _LOG_UNITS[docker.log_max_size[-1]] * docker.log_max_file


def parse_log(text: str) -> Log:
    """Read an access log. A line that is none of ours is left out: the log is foreign."""
    begins, entries = None, []
    for line in text.splitlines():
        entry = _entry(line.removeprefix(_BEGINS))
        if entry and line.startswith(_BEGINS):
            begins = entry.time
        elif entry:
            entries.append(entry)
    return Log(tuple(entries), begins)


def _entry(line: str) -> Entry | None:
    try:
        return Entry.model_validate(json.loads(line))
    except (ValueError, RecursionError, ValidationError):
        return None


def sum_up(logs: Mapping[str, Log], by: By) -> Mapping[str, Usage]:
    """What was used, by the name of a client, a role or a host. Requests without a good key are nobody's.

    + logs: by host
    """
    groups: dict[str, list[Entry]] = defaultdict(list)
    for host, log in logs.items():
        for entry in log.entries:
            if entry.client:
                name = {"client": entry.client, "role": entry.role or _NO_ROLE, "host": host}[by]
                groups[printable(name)].append(entry)
    return {name: _usage(groups[name]) for name in sorted(groups)}


def _usage(entries: list[Entry]) -> Usage:
    answers = [each for each in entries if each.role and each.status == 200 and each.path != _SHOWS]
    told = [each for each in answers if each.tokens_in is not None]
    timed = [each for each in told if each.out_ms]
    out_ms = sum(each.out_ms or 0 for each in timed)
    return Usage(
        requests=len(entries),
        refused=sum(each.status >= 400 for each in entries),
        unknown=len(answers) - len(told),
        tokens_in=sum(each.tokens_in or 0 for each in told),
        tokens_out=sum(each.tokens_out or 0 for each in told),
        first_token_ms=_median(each.first_byte_ms for each in answers if _is_stream(each)),
        answer_ms=_median(each.duration_ms for each in answers),
        tokens_per_second=round(sum(each.tokens_out or 0 for each in timed) * 1000 / out_ms, 1)
        if out_ms
        else None,
        load_ms=sum(each.load_ms or 0 for each in told),
        source="logs",
    )


def _is_stream(entry: Entry) -> bool:
    return (entry.type or "").startswith(_STREAMS)


def _median(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return round(median(known)) if known else None
