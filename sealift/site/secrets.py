"""A site's secrets: an age file on the control node, opened in memory only."""

from __future__ import annotations

import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import pyrage
import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from sealift import services
from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.host.client_limits import ClientLimits
from sealift.release.parse import StrictLoader
from sealift.release.values import Frozen, ModelName, Name

ACCEPTANCE = "acceptance"  # a client of the site's, by which `verify` shows that limits hold
PROBE = services.PROBE.name  # a client of the site's, as which every host asks its own gateway how it is
MOST_KEYS = 2  # of a client: the one it uses, and the one it changes to
_LIMIT = 1 << 20  # bytes: keys are small
_REMEDY = "Make it again: docs/secrets.md."
_OPENING = Lock()  # threads that want the same file wait for the first of them

Client = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def _fits_a_header(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("expected printable ASCII without spaces")
    return key


# 24 characters of base64 are 128 bits and more.
ApiKey = Annotated[SecretStr, Field(min_length=24, max_length=256), AfterValidator(_fits_a_header)]


class ClientKeys(ClientLimits):
    """A client's keys, until when they hold, and what they are good for, beside its limits.

    + keys: the oldest first; more than one while the client changes from one to the next
    + expires: the last day, in UTC, on which a gateway is given them
    + roles: that the client may ask for, or models by their own names; every one where this is empty
    """

    keys: Annotated[tuple[ApiKey, ...], Field(min_length=1, max_length=MOST_KEYS)]
    expires: date | None = None
    roles: tuple[Name | ModelName, ...] = ()

    @property
    def has_terms(self) -> bool:
        """Whether it has roles or limits of its own."""
        return bool(self.model_dump(exclude={"keys", "expires"}, exclude_defaults=True))

    def holds(self, day: date) -> bool:
        """Whether the keys hold on a day."""
        return self.expires is None or day <= self.expires


def _keys_of(given: Any) -> Any:
    """One key may stand as it is."""
    return {"keys": [given]} if isinstance(given, str) else given


def _differ(clients: Mapping[str, ClientKeys]) -> Mapping[str, ClientKeys]:
    """Envoy refuses a key that stands there twice."""
    keys = [key.get_secret_value() for client in clients.values() for key in client.keys]
    if len(set(keys)) < len(keys):
        raise PydanticCustomError("two_clients_have_the_same_key", "two clients have the same key")
    return clients


class Secrets(Frozen):
    """What the age file has. Values do not show in representations and messages."""

    api_keys: Annotated[
        Mapping[Client, Annotated[ClientKeys, BeforeValidator(_keys_of)]],
        Field(min_length=1, description="by client"),
        AfterValidator(_differ),
    ]

    def in_force(self, day: date) -> dict[str, tuple[SecretStr, ...]]:
        """What a gateway is given on a day: the keys of each client whose keys hold."""
        return {name: client.keys for name, client in self.api_keys.items() if client.holds(day)}

    @property
    def allowed(self) -> dict[str, tuple[str, ...]]:
        """Of each client that may not ask for every role, those that it may ask for."""
        return {name: client.roles for name, client in self.api_keys.items() if client.roles}

    @property
    def restricts(self) -> bool:
        """Whether a client has roles or limits of its own."""
        return any(client.has_terms for client in self.api_keys.values())

    def first_client(self, day: date) -> str:
        """The client that the tool itself asks as: the first by name.

        One without roles and limits of its own comes before others, then one that may ask for every role.

        Raises SealiftError where no client's keys hold on that day.
        """
        held = self.in_force(day)
        if not held:
            raise SealiftError(
                f"no client has a key that holds on {day}, expected one. Add a client: sealift clients add."
            )
        others = held.keys() - {ACCEPTANCE, PROBE} or held.keys()
        own = {name for name in others if self.api_keys[name].has_terms}
        return min(others - own or others - self.allowed.keys() or others)

    def first_key(self, day: date) -> SecretStr:
        """That client's key. Raises SealiftError where no client's keys hold on that day."""
        return self.key_of(self.first_client(day), day)

    def roles_of(self, client: str, served: Iterable[str]) -> list[str]:
        """Of the roles that are served, those that a client may ask for."""
        allowed = self.allowed.get(client)
        return sorted(role for role in served if allowed is None or role in allowed)

    def key_of(self, client: str, day: date) -> SecretStr:
        """A client's key: of two, the older. Raises SealiftError where none holds on that day."""
        held = self.in_force(day)
        if client not in held:
            raise SealiftError(
                f"{client}: no client with a key that holds on {day}, expected one of "
                f"{', '.join(held) or 'none'}. See sealift clients list."
            )
        return held[client][0]

    def acceptance_key(self, day: date) -> SecretStr | None:
        """A key whose limit acceptance may use up; None where the site has no such client."""
        held = self.in_force(day)
        return held[ACCEPTANCE][0] if ACCEPTANCE in held and len(held) > 1 else None


def open_secrets(path: Path, identity: Path) -> Secrets:
    """Open a site's secrets.

    + path: the age file, YAML inside: `api_keys: {CLIENT: KEY}`, or in place of a key
      `{keys: [KEY, KEY], expires: 2027-01-31, roles: [ROLE], streams: 2}`, of which `keys` alone must be
      there; all else is in `ClientKeys`
    + identity: the age identity (`AGE-SECRET-KEY-1...`), a file of mode 0600

    Raises SealiftError, without any secret in it.
    """
    private = read_private(identity, _LIMIT)
    sealed = read_limited(path, _LIMIT)
    with _OPENING:
        return _opened(path, sealed, identity, private)


@lru_cache(maxsize=4)
def _opened(path: Path, sealed: bytes, identity: Path, private: bytes) -> Secrets:
    """The same of files that were read: all hosts of a site have the same ones."""
    try:
        opened = pyrage.decrypt(sealed, _parse_identities(identity, private))
    except pyrage.DecryptError:
        raise SealiftError(
            f"{path}: cannot be opened with {identity}, expected a file sealed for it. {_REMEDY}"
        ) from None
    return parse_secrets(opened, path)


def seal(api_keys: Mapping[str, ClientKeys], recipient: pyrage.x25519.Recipient) -> bytes:
    """An age file with these keys.

    + api_keys: by client
    + recipient: whose identity opens it
    """
    written = {name: _written(client) for name, client in api_keys.items()}
    content: bytes = pyrage.encrypt(yaml.safe_dump({"api_keys": written}).encode(), [recipient])
    return content


def new_key() -> SecretStr:
    """A key of 256 random bits."""
    return SecretStr(secrets.token_urlsafe(32))


def _written(client: ClientKeys) -> object:
    """As it stands in the file: one key without an end stands as it is, which older sealifts read."""
    keys = [key.get_secret_value() for key in client.keys]
    given = client.model_dump(exclude={"keys"}, exclude_defaults=True)
    more = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    return {"keys": keys, **more} if more or len(keys) > 1 else keys[0]


def recipient_of(identity: Path) -> pyrage.x25519.Recipient:
    """Whom an age file is sealed for that an identity opens. Raises SealiftError where it is none."""
    return _parse_identities(identity, read_private(identity, _LIMIT))[0].to_public()


def parse_secrets(opened: bytes, path: Path) -> Secrets:
    """Parse what was in the age file.

    + path: for messages

    Raises SealiftError with every mistake, without any secret in it.
    """
    try:
        return Secrets.model_validate(yaml.load(opened, StrictLoader))  # noqa: S506 - a SafeLoader, made stricter
    except ValidationError as error:
        # `type` and not `msg`, and no key but the top one: both may quote what is secret
        lines = (
            f"{path}: {_where(mistake['loc'])}: {mistake['type']}. {_REMEDY}" for mistake in error.errors()
        )
        raise SealiftError("\n".join(lines)) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SealiftError(f"{path}: holds no YAML, or a key twice. {_REMEDY}") from None


def read_private(path: Path, limit: int) -> bytes:
    """Read a small file that only its owner may read. Raises SealiftError where others may, too.

    + limit: bytes
    """
    content = read_limited(path, limit)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SealiftError(f"{path}: has mode {mode:04o}, expected 0600. Run: chmod 600 {path}")
    return content


def _where(location: tuple[int | str, ...]) -> str:
    return "api_keys" if location[:1] == ("api_keys",) else "top level"


def _parse_identities(path: Path, content: bytes) -> list[pyrage.x25519.Identity]:
    text = content.decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        identities = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError:
        identities = []
    if not identities:
        raise SealiftError(
            f"{path}: is no age identity, expected AGE-SECRET-KEY-1... Run: age-keygen -o {path}"
        )
    return identities
