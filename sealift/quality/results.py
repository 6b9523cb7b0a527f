"""What came of golden questions, kept beside the evidence by bundle, and compared with the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from sealift import mistakes
from sealift.errors import SealiftError
from sealift.files import canonical_json, parse_json, read_limited, write_atomically
from sealift.release.values import Digest, Frozen, Many

_LIMIT = 64 << 20  # bytes: some 100,000 answers


class Answer(Frozen):
    """What came of a golden question on a host.

    + question: what was asked, for people
    + identity: of the question, in whatever release it stands
    + problem: what is wrong with what it said; None where that is good
    """

    host: str
    role: str
    question: str
    identity: str
    said: str
    problem: str | None


class Results(Frozen):
    """What came of the golden questions of a bundle, on the hosts of a site.

    + at: when the last of them was asked
    """

    inventory: str
    release: str = Field(description="NAME:VERSION")
    bundle: Digest
    at: datetime
    answers: Many[Answer]

    def with_those_of(self, older: Results) -> Results:
        """It with what was asked before: of the same question on the same host, the newer answer counts."""
        new = {(answer.host, answer.identity) for answer in self.answers}
        kept = (answer for answer in older.answers if (answer.host, answer.identity) not in new)
        answers = sorted((*kept, *self.answers), key=lambda answer: (answer.host, answer.identity))
        return self.model_copy(update={"answers": tuple(answers)})


@dataclass(frozen=True)
class Compared:
    """A golden question now, and what came of it before.

    + now, before: the problem by host, None where the answer was good; without hosts that were not asked
    + said: by host, now
    """

    role: str
    question: str
    now: Mapping[str, str | None]
    before: Mapping[str, str | None]
    said: Mapping[str, str]

    @property
    def failed(self) -> tuple[str, ...]:
        """Hosts where the answer is not good."""
        return tuple(host for host, problem in self.now.items() if problem)

    @property
    def worse(self) -> tuple[str, ...]:
        """Of these, hosts where it was good before."""
        return tuple(host for host in self.failed if host in self.before and not self.before[host])

    @property
    def better(self) -> tuple[str, ...]:
        """Hosts where it is good, and was not."""
        return tuple(host for host, problem in self.now.items() if not problem and self.before.get(host))


def compared(now: Iterable[Answer], before: Iterable[Answer]) -> tuple[Compared, ...]:
    """Each question that was asked now, in the order of asking, beside what came of it before."""
    found: dict[str, list[Answer]] = {}
    for answer in now:
        found.setdefault(answer.identity, []).append(answer)
    old: dict[str, dict[str, str | None]] = {}
    for answer in before:
        old.setdefault(answer.identity, {})[answer.host] = answer.problem
    return tuple(
        Compared(
            answers[0].role,
            answers[0].question,
            {answer.host: answer.problem for answer in answers},
            old.get(identity, {}),
            {answer.host: answer.said for answer in answers},
        )
        for identity, answers in found.items()
    )


def keep(results: Results, folder: Path) -> None:
    """Keep results, with those of the same bundle that are there already.

    + folder: of the site's results; made where it is missing
    """
    path = folder / f"{results.bundle.removeprefix('sha256:')}.json"
    if path.exists():
        results = results.with_those_of(read(path))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, canonical_json(results.model_dump(mode="json"), indent=1))


def last_of_another(folder: Path, bundle: str) -> Results | None:
    """The newest results of another bundle; None where there are none."""
    others = [path for path in sorted(folder.glob("*.json")) if f"sha256:{path.stem}" != bundle]
    return max(map(read, others), key=lambda results: results.at, default=None)


def read(path: Path) -> Results:
    """Read results. Raises SealiftError where they are not as `keep` writes them."""
    try:
        return Results.model_validate(parse_json(read_limited(path, _LIMIT), str(path)))
    except ValidationError as error:
        raise SealiftError(
            f"{path}: {mistakes.first(error)}, expected results of sealift evaluate. Remove it."
        ) from None
