"""How this machine gets at registries and vendors' repositories: mirrors and logins.

None of it is in a release or a lock.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from sealift.errors import SealiftError
from sealift.files import parse_json, read_limited
from sealift.release.values import REPOSITORY_URL, Foreign

MIRRORS = "SEALIFT_MIRRORS"
_APT = "apt:"  # no registry is called so: a port has digits
DOCKER_HUB = "docker.io"
# Where Docker's registry answers, and how `docker login` calls it. Source: registry/config.go of moby/moby.
_HUB_SERVER, _HUB_LOGIN = "registry-1.docker.io", "https://index.docker.io/v1/"
_CONFIG_LIMIT = 1 << 20  # bytes


@dataclass(frozen=True)
class Login:
    """A user and a password, which does not show where this is printed."""

    user: str
    password: str = field(repr=False)


class _Auth(Foreign):
    auth: str | None = None


class _DockerConfig(Foreign):
    auths: dict[str, _Auth] = Field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """Where the contents of a registry are fetched.

    + base: its address, without a / at its end
    + login: of this machine there, if it has one
    """

    base: str
    login: Login | None

    @property
    def host(self) -> str:
        """HOST or HOST:PORT."""
        return urlsplit(self.base).netloc


def server_of(registry: str, environment: Mapping[str, str]) -> Server:
    """Where this machine fetches what a registry has: from a mirror that is set for it, else there.

    + registry: HOST or HOST:PORT, as images are named
    + environment: SEALIFT_MIRRORS has words of REGISTRY=ADDRESS; logins are those of `docker login`, in
      config.json below DOCKER_CONFIG, else ~/.docker

    Raises SealiftError where a setting is not as it should be.
    """
    base = _mirrors(environment).get(registry)
    if base is None:
        host = _HUB_SERVER if registry == DOCKER_HUB else registry
        base = f"{'http' if _is_loopback(host) else 'https'}://{host}"
    host = urlsplit(base).netloc
    names = (_HUB_LOGIN,) if host == _HUB_SERVER else (host, f"https://{host}", f"http://{host}")
    return Server(base, _login(names, environment))


def apt_mirror(source: str, environment: Mapping[str, str]) -> str | None:
    """Where this machine fetches a vendor's apt repository in place of its own URL; None for there.

    + source: its name in the release
    + environment: SEALIFT_MIRRORS has words of apt:SOURCE=ADDRESS as well

    Raises SealiftError where a setting is not as it should be.
    """
    return _mirrors(environment).get(f"{_APT}{source}")


def is_safe(url: str) -> bool:
    """Whether what is sent to an address cannot be read on the way: TLS, or this very machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(parts.hostname)) or (
        parts.scheme == "http" and _is_loopback(parts.netloc)
    )


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _mirrors(environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for word in environment.get(MIRRORS, "").split():
        registry, _, address = word.partition("=")
        if registry.startswith(_APT):
            found[registry] = _apt_address(registry, address)
            continue
        if not registry or not _is_address(address):
            raise SealiftError(
                f"{MIRRORS}: the setting for {registry!r} is not understood, expected REGISTRY=https://HOST. "
                "Correct it; a login goes to docker login."
            )
        if not is_safe(address):
            raise SealiftError(f"{MIRRORS}: {address} is not safe, expected https://. Correct it.")
        found[registry] = address.rstrip("/")
    return found


def _apt_address(source: str, address: str) -> str:
    """Plain http will do: what comes is believed by the repository's key alone."""
    if not re.fullmatch(REPOSITORY_URL, address):
        raise SealiftError(
            f"{MIRRORS}: the setting for {source!r} is not understood, "
            "expected apt:SOURCE=https://HOST/PATH. Correct it; a login goes into /etc/apt/auth.conf.d."
        )
    return address


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc and not parts.query and not parts.fragment


def _login(names: tuple[str, ...], environment: Mapping[str, str]) -> Login | None:
    path = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    if not path.exists():
        return None
    try:
        config = _DockerConfig.model_validate(parse_json(read_limited(path, _CONFIG_LIMIT), str(path)))
    except ValidationError:  # its text has the values in it
        raise SealiftError(f"{path}: auths is not as docker login writes it. Log in again.") from None
    encoded = next((config.auths[name].auth for name in names if name in config.auths), None)
    if not encoded:
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not base64, or no UTF-8
        colon = ""
    if not colon:
        raise SealiftError(f"{path}: the login of {names[0]} is not as docker login writes it. Log in again.")
    return Login(user, password)
