"""Plain files from an address. Each is what its SHA-256 says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import requests

from sealift.blob import Blob
from sealift.content import Content
from sealift.errors import SealiftError
from sealift.progress import Meter
from sealift.release.locked import LockedFile
from sealift.sources.access import is_safe
from sealift.sources.http import ask, follow, insist, ranged
from sealift.sources.source import CHECK_FILE, BuildMachine, Find


class WebFile:
    """A file of a release, by its address."""

    def __init__(self, name: str, url: str, sha256: str, machine: BuildMachine) -> None:
        """Name a file; nothing is asked yet.

        + name: in the release
        + url: http or https; what comes over plain http is told from another by its digest alone
        + sha256: in hex, as the release has it
        """
        self._name, self._url, self._sha256, self._machine = name, url, sha256, machine

    def lock(self) -> LockedFile:
        """Download it into the cache, where a build takes it from.

        Raises SealiftError where it cannot be had, or is not what its SHA-256 says.
        """
        wanted = f"sha256:{self._sha256}"
        found = self._machine.arrivals.whole(wanted, self._machine.progress)
        blob = Blob(digest=wanted, size=found.size if found else _Address(self._url).size())
        self._download(blob)
        return LockedFile(blob=blob)

    def open(self, locked: LockedFile) -> Find:  # noqa: ARG002 - as in every source
        """As `Source.open`; it must be what was locked, whatever the release says."""
        return self._download

    def _download(self, blob: Blob) -> Content:
        meter = Meter(f"fetching {self._name}", blob.size, self._machine.progress)
        where = f"files.{self._name}: {self._url}"
        stream = _Address(self._url).stream
        return self._machine.arrivals.download(blob, stream, where, meter.add, CHECK_FILE)


class _Address:
    """Where a file is, as this machine reaches it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def size(self) -> int:
        """Its bytes, as the server says; they are not fetched.

        Raises SealiftError where it cannot be had, or the server does not say.
        """
        with closing(self._get({"Range": "bytes=0-0"})) as response:
            said = response.headers.get("Content-Length", "")
            if response.status_code == 206:
                said = response.headers.get("Content-Range", "").rpartition("/")[2]
        if not re.fullmatch(r"[0-9]{1,15}", said):
            raise self._wrong("does not say its size. Fetch it by hand and name it by path")
        return int(said)

    @contextmanager
    def stream(self, start: int, end: int) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A range of it, not checked: from where it really starts, and its bytes.

        + start, end: bytes; end is not included

        Raises CutError where the connection breaks, SealiftError where the server refuses.
        """
        with closing(self._get({"Range": f"bytes={start}-{end - 1}"})) as response:
            found = ranged(response, start)
            if found is None:
                raise self._wrong("is answered with another range than was asked for. Try again later")
            yield found

    def _get(self, headers: dict[str, str]) -> requests.Response:
        """Ask; over TLS once, over TLS ever after."""

        def may(url: str) -> bool:
            return is_safe(url) or (not is_safe(self._url) and urlsplit(url).scheme == "http")

        def ask_once() -> requests.Response:
            return follow(self._url, lambda url: ask(self._session, url, headers), may, self._url)

        found = insist(ask_once, _refusal)
        if isinstance(found, str):
            raise self._wrong(found if ". " in found else f"{found}. Try again later")
        return found

    def _wrong(self, what: str) -> SealiftError:
        return SealiftError(f"{self._url}: {what}.")


def _refusal(status: int) -> str:
    if status in (404, 410):
        return "is not there. Check the address"
    if status in (401, 403):
        return "asks for a login, which is not done here. Fetch it by hand and name it by path"
    return f"is answered with HTTP {status}"
