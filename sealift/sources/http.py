"""What every download over HTTP has in common: no surprises on the way, and patience with bad moments."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urljoin

import requests
import urllib3
from requests.auth import AuthBase

from sealift.content import CHUNK
from sealift.errors import SealiftError
from sealift.sources.arrivals import PAUSE, CutError

ATTEMPTS = 6
_TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of an answer
_PATIENCE = 60  # seconds: who asks for more is not waited for
_REDIRECTS = 5
_BUSY = frozenset({429, 500, 502, 503, 504})


class _Authorization(AuthBase):
    """Exactly this header or none: `requests` would look for a login in ~/.netrc otherwise."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def ask(
    session: requests.Session, url: str, headers: Mapping[str, str], authorization: str | None = None
) -> requests.Response:
    """Ask once, for content as it is and without following redirects; the answer's body is not read yet.

    + authorization: the header, if any
    """
    return session.get(
        url,
        headers={"Accept-Encoding": "identity", **headers},
        auth=_Authorization(authorization),
        allow_redirects=False,
        stream=True,
        timeout=_TIMEOUT,
    )


def follow(
    url: str, ask_one: Callable[[str], requests.Response], may: Callable[[str], bool], host: str
) -> requests.Response:
    """Ask, and go where a server sends us.

    + ask_one: asks an address once
    + may: whether a redirect to an address is taken
    + host: whom we asked, for messages

    Raises SealiftError where it sends us to a place that is not safe, or in circles.
    """
    for _ in range(_REDIRECTS):
        response = ask_one(url)
        if response.status_code not in (301, 302, 303, 307, 308):
            return response
        response.close()
        try:
            url = urljoin(url, response.headers.get("Location", ""))
        except ValueError:
            url = ""
        if not may(url):
            raise SealiftError(f"{host}: sends us to a place without TLS. Use another mirror.")
    raise SealiftError(f"{host}: redirects too often. Use another mirror.")


def insist(
    ask_once: Callable[[], requests.Response], refusal: Callable[[int], str]
) -> requests.Response | str:
    """Ask, and again where it may only be a bad moment. The answer, or what is wrong.

    + refusal: says what an HTTP status means here
    """
    problem, wished = "", 0
    for attempt in range(ATTEMPTS):
        pause(attempt, wished)
        wished = 0
        try:
            response = ask_once()
        except (requests.RequestException, ValueError) as error:  # may have a signed address in it
            problem = f"cannot be reached ({type(error).__name__})"
            continue
        if response.status_code < 300:
            return response
        response.close()
        problem = refusal(response.status_code)
        wished = _wished(response)
        if response.status_code not in _BUSY or wished > _PATIENCE:
            break
    return problem


def pause(attempt: int, wished: int = 0) -> None:
    """Wait before an attempt, longer before each further one; not before the first.

    + attempt: from 0 on
    + wished: seconds that a server asked for
    """
    if attempt:
        time.sleep(max(PAUSE * 2 ** (attempt - 1), wished))


def _wished(response: requests.Response) -> int:
    """Seconds after which a server wants to be asked again; 0 where it says nothing, or gives a date."""
    said = response.headers.get("Retry-After", "")
    return int(said) if re.fullmatch(r"[0-9]{1,9}", said) else 0


def ranged(response: requests.Response, start: int) -> tuple[int, Iterator[bytes]] | None:
    """From where the bytes of an answer really start, and the bytes; None where it is another range.

    + start: byte that was asked for
    """
    if response.status_code != 206:
        return 0, pieces(response)
    if response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        return start, pieces(response)
    return None


def pieces(response: requests.Response) -> Iterator[bytes]:
    """An answer's bytes. Raises CutError where the connection breaks."""
    if not {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}:
        raise CutError("the head of the answer is cut off")  # http.client takes it for a whole one
    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise CutError(type(error).__name__) from None
