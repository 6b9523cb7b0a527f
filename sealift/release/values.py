"""The words of release files and locks: what a name, a version, a path or a digest may be, and lists of them.

Foreign text is held against these once, where it is parsed.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints

K = TypeVar("K")
T = TypeVar("T")


class UpToFirst(FailFast):
    """What others wrote is read up to its first mistake: a small file can have a million, a kilobyte each."""

    __slots__ = ()

    def __hash__(self) -> int:
        """Pydantic's own has none; a union such as `Many[str] | None` needs it."""
        return hash(UpToFirst)


Many = Annotated[tuple[T, ...], UpToFirst()]


def _few(given: Any) -> Any:
    if isinstance(given, list | tuple) and len(given) > _FEW:
        raise ValueError(f"has {len(given)} entries, expected {_FEW} at most")
    return given


_FEW = 2000
Few = Annotated[tuple[T, ...], BeforeValidator(_few)]
"""What people write: every mistake in it is told."""
MOST_NAMED = 1000
Named = Annotated[dict[K, T], Field(max_length=MOST_NAMED)]
"""What a release names of a kind: what reads our own JSON takes objects of as many keys."""
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,62}$")]
# A path below the sources folder: relative, no part begins with a dot. Archives and stores may be
# links to where they lie; of other files the resolvers check that links do not lead out.
SourcePath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+~-]*(/[A-Za-z0-9_][A-Za-z0-9._+~-]*)*$")
]


def _day(given: Any) -> Any:
    """YAML reads a date, JSON has it as text; a number would be seconds since 1970 to pydantic."""
    if isinstance(given, datetime) or not isinstance(given, date | str):
        raise ValueError("expected a date")
    return given


Day = Annotated[
    date, BeforeValidator(_day, json_schema_input_type=date), Field(ge=date(2020, 1, 1), lt=date(2200, 1, 1))
]
# Releases of Debian and Ubuntu that hosts may run: see suites.py.
SuiteName = Literal["bookworm", "trixie", "jammy", "noble"]
# Debian policy 5.6.7 and 5.6.12.
PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]
PackageVersion = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~:-]*$")]
# A group of an inventory, as pyinfra has them: the name of a Python list. `all` is every host.
GroupName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
# Not a group of hosts: the control node's own packages.
CONTROL = "control"
# A path in a repository: no part begins with a dot, no blanks or control characters.
_PART = r"[^./\x00-\x20\x7f][^/\x00-\x20\x7f]*"
RepositoryPath = Annotated[str, StringConstraints(pattern=f"^{_PART}(/{_PART})*$")]
# What apt and dpkg resolve, sort and show by. Source: deb-control(5).
DEB_FIELDS = (
    *("Essential", "Protected", "Multi-Arch", "Pre-Depends", "Depends", "Recommends", "Suggests"),
    *("Provides", "Conflicts", "Breaks", "Replaces", "Enhances"),
    *("Source", "Section", "Priority", "Maintainer", "Installed-Size", "Description"),
)
DebField = Annotated[str, StringConstraints(pattern=f"^({'|'.join(DEB_FIELDS)})$")]
# One line: in an index a second one would be another field.
DebFieldValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]*$")]
# A word of a line of sources.list(5).
SourceWord = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.][A-Za-z0-9._/+~-]*$")]
# A suite, or with a slash at its end the folder of a flat repository: / is the repository's own.
AptSuite = Annotated[str, StringConstraints(pattern=r"^(/|[A-Za-z0-9.][A-Za-z0-9._/+~-]*)$")]
# Less than RFC 3986 allows: no login, no query, and nothing that apt would take for another word.
REPOSITORY_URL = r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9_~+%-][A-Za-z0-9._~+%-]*)*/?$"
RepositoryUrl = Annotated[str, StringConstraints(pattern=REPOSITORY_URL)]
MediaType = Annotated[str, StringConstraints(pattern=r"^[!-~][ -~]{0,254}$")]
# HOST/PATH:TAG in full, so that no engine completes it with a default registry.
ImageName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9][a-z0-9.-]*(?::[0-9]+)?(?:/[a-z0-9._-]+)+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"
    ),
]
# Ollama's MODEL:TAG of the library namespace.
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._-]*$")]

# A Python package's name, normalised. Source: PEP 503.
WheelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
# Source: PEP 440.
WheelVersion = Annotated[str, StringConstraints(pattern=r"^[0-9][A-Za-z0-9.!+]*$")]
# NAME-VERSION(-BUILD)-PYTHON-ABI-PLATFORM.whl. Source: PEP 427.
WheelFile = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_.]+-[0-9][A-Za-z0-9_.!+]*(-[0-9][A-Za-z0-9_.]*)?(-[A-Za-z0-9_.]+){3}\.whl$"
    ),
]

# HTTP or HTTPS, without a login, which would stand in every lock, and without a fragment.
FileUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]+)?/[!-\"$-~]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Where no package has files, so that nothing of a package is ever replaced. Source: FHS 3.0, 3.13, 3.17, 4.9.
TARGETS = ("/usr/local/", "/opt/", "/srv/")
_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9._+-]*"
FileTarget = Annotated[str, StringConstraints(pattern=f"^/(usr/local|opt|srv)(/{_PLAIN})+$")]
# Octal; root alone may write, and nothing runs as another than who starts it.
FileMode = Annotated[str, StringConstraints(pattern=r"^0[4-7][0145][0145]$")]


# Deferred: what is only a part of something else costs no time of its own when a command starts.
class Frozen(BaseModel):
    """Base of all data here: immutable, and a key that nobody defined is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Foreign(BaseModel):
    """Base of what we read of others' data: immutable, and keys that we do not know are theirs."""

    model_config = ConfigDict(frozen=True, defer_build=True)


def is_none(value: object) -> bool:
    """Whether a key that was not given is left out of the JSON."""
    return value is None


def is_empty(value: object) -> bool:
    """As `is_none`, for lists and mappings."""
    return not value
