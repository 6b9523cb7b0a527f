"""A site's secrets: an age file on the control node, opened in memory only."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pyrage
import yaml
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.release.parse import StrictLoader
from sealift.release.values import Frozen

ACCEPTANCE = "acceptance"  # a client of the site's, by which `verify` shows that limits hold
_LIMIT = 1 << 20  # bytes: keys are small
_REMEDY = "Make it again: docs/secrets.md."

Client = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def _fits_a_header(key: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError("expected printable ASCII without spaces")
    return key


def _differ(keys: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    """Envoy does not start with a key that two clients have."""
    if len({key.get_secret_value() for key in keys.values()}) < len(keys):
        raise PydanticCustomError("two_clients_have_the_same_key", "two clients have the same key")
    return keys


# 24 characters of base64 are 128 bits and more.
ApiKey = Annotated[SecretStr, Field(min_length=24, max_length=256), AfterValidator(_fits_a_header)]


class Secrets(Frozen):
    """What the age file has. Values do not show in representations and messages."""

    api_keys: Annotated[
        Mapping[Client, ApiKey], Field(min_length=1, description="by client"), AfterValidator(_differ)
    ]

    @property
    def first_key(self) -> SecretStr:
        """The key that the tool itself asks with: of the client that comes first by name."""
        return self.api_keys[min(self.api_keys.keys() - {ACCEPTANCE} or self.api_keys)]

    @property
    def acceptance_key(self) -> SecretStr | None:
        """A key whose limit acceptance may use up; None where the site has no such client."""
        return self.api_keys.get(ACCEPTANCE) if len(self.api_keys) > 1 else None


def open_secrets(path: Path, identity: Path) -> Secrets:
    """Open a site's secrets.

    + path: the age file, YAML inside: `api_keys: {CLIENT: KEY}`
    + identity: the age identity (`AGE-SECRET-KEY-1...`), a file of mode 0600

    Raises SealiftError, without any secret in it.
    """
    identities = _identities(identity)
    sealed = read_limited(path, _LIMIT)
    try:
        opened = pyrage.decrypt(sealed, identities)
    except pyrage.DecryptError:
        raise SealiftError(
            f"{path}: cannot be opened with {identity}, expected a file sealed for it. {_REMEDY}"
        ) from None
    return parse_secrets(opened, path)


def seal(api_keys: Mapping[str, str], recipient: pyrage.x25519.Recipient) -> bytes:
    """An age file with these keys.

    + api_keys: by client
    + recipient: whose identity opens it
    """
    content: bytes = pyrage.encrypt(yaml.safe_dump({"api_keys": dict(api_keys)}).encode(), [recipient])
    return content


def recipient_of(identity: Path) -> pyrage.x25519.Recipient:
    """Whom an age file is sealed for that an identity opens. Raises SealiftError where it is none."""
    return _identities(identity)[0].to_public()


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


def _identities(path: Path) -> list[pyrage.x25519.Identity]:
    text = read_private(path, _LIMIT).decode(errors="replace")
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
