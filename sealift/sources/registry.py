"""Reading from registries of images, and Ollama's of models, which speaks the same protocol.

Sources: spec.md of github.com/opencontainers/distribution-spec 1.1; docs/spec/auth/token.md of
github.com/distribution/distribution.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from urllib.parse import urlencode, urlsplit

import requests

from sealift.blob import Blob
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.files import parse_json
from sealift.oci.manifest import INDEX_TYPES, MANIFEST_LIMIT, MANIFEST_TYPES
from sealift.sources.access import is_safe, server_of
from sealift.sources.arrivals import CutError, Read
from sealift.sources.http import ATTEMPTS, ask, follow, insist, pause, pieces, ranged

_TOKEN_LIMIT = 64 << 10  # bytes
_PARAMETER = re.compile(r'\b(\w{1,64})="([^"]*)"')


class Registry:
    """One repository of a registry, as this machine reaches it. May be used by several threads."""

    def __init__(self, host: str, repository: str, environment: Mapping[str, str]) -> None:
        """Name a repository; nothing is asked yet.

        + host: of the registry, as images are named
        + environment: of the process, for mirrors and logins

        Raises SealiftError where those are not set as they should be.
        """
        self._server = server_of(host, environment)
        self._repository = repository
        self._authorization: str | None = None
        self._session = requests.Session()

    def manifest(self, reference: str) -> bytes:
        """A manifest or an index.

        + reference: a tag, or a digest, which is checked

        Raises SealiftError where it cannot be had or is another.
        """
        accept = {"Accept": ", ".join(MANIFEST_TYPES + INDEX_TYPES)}
        return self._small(f"manifests/{reference}", reference, MANIFEST_LIMIT, accept)

    def read(self, blob: Blob, limit: int) -> bytes:
        """A small blob, checked.

        + limit: bytes it may have

        Raises SealiftError where it cannot be had or is another.
        """
        return self._small(f"blobs/{blob.digest}", blob.digest, limit, {})

    def reader(self, digest: str) -> Read:
        """What `Arrivals` fetches a blob with: `stream` of it."""
        return partial(self.stream, digest)

    @contextmanager
    def stream(self, digest: str, start: int, end: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A range of a blob, not checked: from where it really starts, and its bytes.

        + start, end: bytes; end is not included

        Raises CutError where the connection breaks, SealiftError where the registry refuses.
        """
        asked = {"Range": f"bytes={start}-{end - 1}"}
        with closing(self._get(f"blobs/{digest}", asked)) as response:
            found = ranged(response, start)
            if found is None:
                raise self._wrong(f"blobs/{digest}", "is answered with another range than was asked for")
            yield found

    def _small(self, path: str, reference: str, limit: int, headers: Mapping[str, str]) -> bytes:
        for attempt in range(ATTEMPTS):
            pause(attempt)
            try:
                with closing(self._get(path, headers)) as response:
                    content = _bounded(response, limit)
            except CutError:
                continue
            if len(content) > limit:
                raise self._wrong(path, f"has more than {limit} bytes")
            if reference.startswith("sha256:") and digest_of(content).digest != reference:
                raise self._wrong(path, f"is damaged, its content is {digest_of(content).digest}")
            return content
        raise self._wrong(path, f"breaks off, {ATTEMPTS} times")

    def _get(self, path: str, headers: Mapping[str, str]) -> requests.Response:
        """Ask, log in if need be, follow redirects, and try again what may only be a bad moment."""
        url = f"{self._server.base}/v2/{self._repository}/{path}"
        logged_in = False

        def ask_once() -> requests.Response:
            nonlocal logged_in
            response = self._follow(url, headers)
            if response.status_code != 401 or logged_in:
                return response
            self._log_in(response)
            logged_in = True
            return self._follow(url, headers)

        found = insist(ask_once, self._refusal)
        if isinstance(found, str):
            raise self._wrong(path, found)
        return found

    def _follow(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        first = urlsplit(url)

        def ask_one(where: str) -> requests.Response:
            same = urlsplit(where)[:2] == first[:2]
            return ask(self._session, where, headers, self._authorization if same else None)

        return follow(url, ask_one, is_safe, self._server.host)

    def _log_in(self, refused: requests.Response) -> None:
        """Do what a refusal asks for: send the password, or fetch a token, for it or anonymously."""
        refused.close()
        scheme, _, rest = refused.headers.get("WWW-Authenticate", "").partition(" ")
        login = self._server.login
        basic = _basic(login.user, login.password) if login else None
        if scheme.lower() != "bearer":
            self._authorization = basic
            return
        named = dict(_PARAMETER.findall(rest))
        realm = named.get("realm", "")
        if not is_safe(realm):
            raise SealiftError(f"{self._server.host}: asks for logins without TLS. Use another mirror.")
        wanted = {"scope": f"repository:{self._repository}:pull"}
        if "service" in named:
            wanted["service"] = named["service"]
        address = f"{realm}{'&' if '?' in realm else '?'}{urlencode(wanted)}"
        with closing(ask(self._session, address, {}, basic)) as got:
            if got.status_code != 200:
                raise SealiftError(
                    f"{self._server.host}: {self._repository}: {self._refusal(got.status_code)}"
                )
            parsed = parse_json(_bounded(got, _TOKEN_LIMIT), f"{self._server.host}: token")
        token = parsed.get("token") or parsed.get("access_token") if isinstance(parsed, dict) else None
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise SealiftError(f"{self._server.host}: gives no token. Use another mirror.")
        self._authorization = f"Bearer {token}"

    def _refusal(self, status: int) -> str:
        host = self._server.host
        if status in (401, 403):
            done = "refuses this machine's login" if self._server.login else "asks for a login"
            return f"the registry {done}. Run docker login {host}"
        if status == 404:
            return "is not there. Check the name"
        return f"is answered with HTTP {status}"

    def _wrong(self, path: str, what: str) -> SealiftError:
        remedy = "" if ". " in what else ". Try again later or use another mirror"
        return SealiftError(f"{self._server.host}: {self._repository}/{path}: {what}{remedy}.")


def _bounded(response: requests.Response, limit: int) -> bytes:
    """An answer's bytes, one more than the limit at most."""
    content = bytearray()
    for piece in pieces(response):
        content += piece
        if len(content) > limit:
            break
    return bytes(content[: limit + 1])


def _basic(user: str, password: str) -> str:
    """The header of basic authentication. Source: RFC 7617."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
