"""All measurements of a host: what is done, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.fleet.survey import Target
from sealift.measure.arrivals import poisson
from sealift.measure.asking import Answered, Line, Question
from sealift.measure.bandwidth import Bandwidth, bytes_per_token
from sealift.measure.loops import MOST_AT_ONCE, closed, load_of, opened, step_of
from sealift.measure.prompts import LONG, PREDICT, SHORT, Prompt
from sealift.measure.results import Bound, Cold, Load, Step
from sealift.measure.statistics import spread_of
from sealift.services import OLLAMA

Found = Step | Cold | Load | Bound
T = TypeVar("T")
_COLD_ROUNDS = 3
_UNLOAD_S = 60  # for which others' answers are waited for
# $1: the Compose project, $2: what its container runs, further: a role, and all names of its model.
_STOP = """\
id=$(docker ps --quiet --filter label=com.docker.compose.project="$1" | head -n 1)
[ -n "$id" ] || { echo "Ollama does not run" >&2; exit 1; }
run=$2
shift 2
docker exec "$id" bash -c "$run" unload "$@"
"""
# Ollama says so before it has put a model out, which waits for answers to others, and may answer by it
# still. It lists it under the name that it was first asked for by, which any role of that model has. Who asks
# meanwhile has it loaded again, as the health check does: so it is told to stop until the model is gone.
_UNLOAD = f"""\
role=$1
shift
end=$((SECONDS + {_UNLOAD_S}))
while :; do
    ollama stop "$role" || exit
    listed=$(ollama ps) || exit
    loaded=
    for name; do
        [[ $'\\n'$listed != *$'\\n'"$name "* ]] || loaded=$name
    done
    [ -n "$loaded" ] || exit 0
    if [ "$SECONDS" -ge "$end" ]; then
        echo "$loaded stays loaded, since others ask it" >&2
        exit 1
    fi
    sleep 0.1
done
"""


@dataclass(frozen=True)
class Wanted:
    """What is to be measured.

    + streams: at once, one step for each number of them
    + rounds: requests of each stream
    + cold: whether models are put out of memory to see how they load
    + rate: requests a second of the open loop; none where it is 0
    + seconds: of the open loop
    """

    streams: tuple[int, ...]
    rounds: int
    cold: bool
    rate: float
    seconds: float


@dataclass(frozen=True)
class Subject:
    """A role on a host, as a client asks for it.

    + model: that answers there
    + key: the client's
    + names: all that Ollama has the model by, as MODEL:TAG
    """

    target: Target
    role: str
    model: str
    key: SecretStr
    names: tuple[str, ...]

    @property
    def host(self) -> str:
        """The host's name."""
        return self.target.host.name

    @property
    def numbers(self) -> bool:
        """Whether it answers in numbers."""
        return self.target.stored.lock.models[self.model].embeds

    @property
    def predict(self) -> int:
        """Tokens of an answer at most: no more than the role itself gives."""
        own = self.target.stored.lock.release.roles[self.role].parameters.num_predict
        return min(own, PREDICT) if own is not None and own > 0 else PREDICT


@dataclass
class Run:
    """Measures roles, one after another.

    + tell: takes what is done now
    """

    wanted: Wanted
    tell: Callable[[str], None]
    _numbers: Iterator[int] = field(default_factory=count)

    def measure(self, subject: Subject, bandwidth: Bandwidth | None) -> Iterator[Found]:
        """Measure a role; gives each result when it is there.

        + bandwidth: of the host's memory, where it is known

        Raises SealiftError where not even the first request is answered.
        """
        line = Line(subject.target.host, subject.key, self._connections)
        try:
            self._warm(subject, line)
            alone: Step | None = None
            for prompt, streams in self._steps:
                step = self._closed(subject, line, prompt, streams)
                yield step
                if prompt is SHORT and streams == 1:
                    alone = step
            if alone and bandwidth:
                yield from bound_of(subject, alone, bandwidth)
            if self.wanted.cold:
                yield from self._cold(subject, line)
            if self.wanted.rate:
                yield self._open(subject, line)
        finally:
            line.close()

    @property
    def _steps(self) -> list[tuple[Prompt, int]]:
        return [*((SHORT, streams) for streams in self.wanted.streams), (LONG, min(self.wanted.streams))]

    @property
    def _connections(self) -> int:
        return MOST_AT_ONCE if self.wanted.rate else max(self.wanted.streams)

    def _ask(self, subject: Subject, line: Line, prompt: Prompt) -> Answered:
        text = prompt.numbered(next(self._numbers))
        return line.ask(Question(subject.role, subject.numbers, text, subject.predict))

    def _warm(self, subject: Subject, line: Line) -> None:
        """Load the model, if need be, and open a connection."""
        self.tell(f"{subject.host}: {subject.role}: warming up")
        answered = self._ask(subject, line, SHORT)
        if answered.problem:
            raise SealiftError(
                f"{subject.host}: {subject.role}: {answered.status or 'no answer'}: {answered.problem}"
            )

    def _closed(self, subject: Subject, line: Line, prompt: Prompt, streams: int) -> Step:
        what = f"{subject.host}: {subject.role}, {prompt.name} prompt, {streams} streams"
        found, seconds = closed(
            lambda: self._ask(subject, line, prompt),
            streams,
            self.wanted.rounds,
            lambda done, total: self.tell(f"{what}: {done} of {total}"),
        )
        return step_of(subject.host, subject.role, prompt.name, streams, found, seconds)

    def _cold(self, subject: Subject, line: Line) -> Iterator[Cold]:
        found: list[Answered] = []
        for number in range(_COLD_ROUNDS):
            self.tell(f"{subject.host}: {subject.role}, loading: {number + 1} of {_COLD_ROUNDS}")
            unload(subject)
            found.append(self._ask(subject, line, SHORT))
        bad = next((each.problem for each in found if each.problem), None)
        if bad:
            raise SealiftError(f"{subject.host}: {subject.role}: was not loaded: {bad}")
        load = spread_of(each.told.load_duration / 1e9 for each in found if each.told)
        first = spread_of(each.first_s or each.answer_s for each in found)
        if load and first:
            yield Cold(host=subject.host, role=subject.role, load_s=load, first_s=first)

    def _open(self, subject: Subject, line: Line) -> Load:
        wanted = self.wanted
        what = f"{subject.host}: {subject.role}, {wanted.rate:g} requests a second"
        found, ended = opened(
            lambda: self._ask(subject, line, SHORT),
            list(poisson(wanted.rate, wanted.seconds)),
            lambda done, total: self.tell(f"{what}: {done} of {total}"),
        )
        return load_of(subject.host, subject.role, wanted.rate, wanted.seconds, found, ended)


def unload(subject: Subject) -> None:
    """Have a host's Ollama put a model out of memory, and wait until it has.

    Raises SealiftError where it cannot be asked, or others have the model loaded all the time.
    """
    words = (OLLAMA.project, _UNLOAD, subject.role, *subject.names)
    subject.target.host.ssh.run(_STOP, *words, timeout_s=2 * _UNLOAD_S)


def bound_of(subject: Subject, alone: Step, bandwidth: Bandwidth) -> Iterator[Bound]:
    """How near one stream comes to what memory allows; nothing where no token was counted."""
    if not (alone.rate and alone.tokens):
        return
    before = alone.prompt_tokens.median if alone.prompt_tokens else 0
    position = int(before + alone.tokens.median / 2)
    stored, settings = subject.target.stored, subject.target.host.settings
    per_token = bytes_per_token(stored.lock.models[subject.model], position, settings.ollama.kv_cache_type)
    allowed = bandwidth.per_second / per_token
    yield Bound(
        host=subject.host,
        role=subject.role,
        bytes_per_token=per_token,
        bandwidth=bandwidth.per_second,
        measured=bandwidth.measured,
        of=bandwidth.of,
        tokens_per_second=allowed,
        reached=alone.rate.median / allowed,
    )
