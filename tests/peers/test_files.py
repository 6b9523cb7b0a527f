"""Plain files by address, from servers on loopback: with ranges, without them, cut off, moved, wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sealift.blob import Blob
from sealift.blobs import BlobStore
from sealift.bundle.build import build
from sealift.content import digest_of
from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.release.locked import LockedFile
from sealift.release.types import File
from sealift.sources.kinds import file_source
from tests.peers import registry
from tests.peers.registry import Peer
from tests.peers.relay import relaying
from tests.unit import samples

TOOL = os.urandom(8 << 20)
TARGET = "/usr/local/bin/tool"


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """A server that knows ranges: Debian's docker-registry, whose blobs have addresses."""
    with registry.serving(tmp_path_factory.mktemp("registry")) as running:
        running.push_blob("tools", TOOL)
        yield running


def _path(content: bytes = TOOL) -> str:
    return f"v2/tools/blobs/{digest_of(content).digest}"


def _file(url: str, content: bytes = TOOL) -> File:
    return File(url=url, sha256=digest_of(content).hex, target=TARGET)


def _lock(url: str, sources: Path, content: bytes = TOOL) -> LockedFile:
    return file_source("tool", _file(url, content), samples.machine(sources)).lock()


def _refusal(url: str, sources: Path, content: bytes = TOOL) -> str:
    with pytest.raises(SealiftError) as refused:
        _lock(url, sources, content)
    assert not list((sources / "cache/blobs/sha256").glob("*")), "something wrong was kept"
    return str(refused.value)


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _answering(status: int, **headers: str) -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with _serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/tool"


def test_a_file_is_locked_by_its_digest_and_size_and_built_from_the_cache(peer: Peer, tmp_path: Path) -> None:
    url = f"{peer.url}/{_path()}"
    locked = _lock(url, tmp_path)
    assert locked.blob == digest_of(TOOL)
    gone = file_source("tool", _file("http://127.0.0.1:9/gone"), samples.machine(tmp_path))
    assert b"".join(gone.open(locked)(locked.blob).chunks()) == TOOL
    assert gone.lock() == locked


def test_a_file_that_rotted_in_the_cache_is_downloaded_again(peer: Peer, tmp_path: Path) -> None:
    url = f"{peer.url}/{_path()}"
    locked = _lock(url, tmp_path)
    cached = tmp_path / "cache/blobs/sha256" / locked.blob.hex
    cached.chmod(0o644)
    cached.write_bytes(TOOL[:-1])
    assert _lock(url, tmp_path) == locked
    assert cached.read_bytes() == TOOL


def test_a_bundle_is_built_with_a_file_by_its_address(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{peer.url}/{_path()}"
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    site = samples.site(tmp_path)
    release = samples.release(files={"tool": _file(url).model_dump(mode="json")})
    update = {"release": release, "files": {"tool": LockedFile(blob=digest_of(TOOL))}}
    build(site.lock.model_copy(update=update), site.sources, tmp_path / "bundle", site.key, silent)
    assert BlobStore(tmp_path / "bundle").path(digest_of(TOOL)).read_bytes() == TOOL


def test_a_cut_download_goes_on_where_it_broke(peer: Peer, tmp_path: Path) -> None:
    with relaying(peer.port, cut_after=3 << 20, cuts=2) as relay:
        assert _lock(f"http://127.0.0.1:{relay.port}/{_path()}", tmp_path).blob == digest_of(TOOL)
        assert relay.cuts == 0
        assert len(TOOL) < relay.passed < 1.2 * len(TOOL)


def test_a_server_without_ranges_is_asked_for_the_whole_again(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/tool").write_bytes(TOOL)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    with _serving(handler) as port, relaying(port, cut_after=3 << 20, cuts=2) as relay:
        assert _lock(f"http://127.0.0.1:{relay.port}/tool", tmp_path).blob == digest_of(TOOL)
        assert relay.passed > len(TOOL) + (3 << 20)


def test_a_wrong_file_is_refused_with_both_digests(peer: Peer, tmp_path: Path) -> None:
    url = f"{peer.url}/{_path()}"
    said = _refusal(url, tmp_path, content=b"what was published")
    assert said == (
        f"files.tool: {url}: {digest_of(b'what was published').digest} is damaged, its content is "
        f"{digest_of(TOOL).digest}. Ask its publisher which SHA-256 it has; correct sha256, or lock it again."
    )


def test_the_locked_digest_counts_and_not_the_releases(peer: Peer, tmp_path: Path) -> None:
    url = f"{peer.url}/{_path()}"
    altered = file_source("tool", _file(url, b"another"), samples.machine(tmp_path))
    locked = LockedFile(blob=digest_of(TOOL))
    assert b"".join(altered.open(locked)(locked.blob).chunks()) == TOOL
    other = LockedFile(blob=Blob(digest=digest_of(b"another").digest, size=len(TOOL)))
    with pytest.raises(SealiftError, match="is damaged, its content is sha256:"):
        file_source("tool", _file(url), samples.machine(tmp_path)).open(other)(other.blob)


def test_what_is_not_there_is_named(peer: Peer, tmp_path: Path) -> None:
    url = f"{peer.url}/{_path(b'never pushed')}"
    assert _refusal(url, tmp_path) == f"{url}: is not there. Check the address."


def test_a_server_that_wants_a_login_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with _answering(403) as url:
        assert _refusal(url, tmp_path) == (
            f"{url}: asks for a login, which is not done here. Fetch it by hand and name it by path."
        )


def test_an_answer_without_a_size_is_refused(tmp_path: Path) -> None:
    with _answering(200) as url:
        assert "does not say its size" in _refusal(url, tmp_path)


def test_a_redirect_is_followed(peer: Peer, tmp_path: Path) -> None:
    with _answering(302, Location=f"{peer.url}/{_path()}") as url:
        assert _lock(url, tmp_path).blob == digest_of(TOOL)


@pytest.mark.parametrize("place", ["http://192.0.2.1/tool", "ftp://127.0.0.1/tool", "file:///etc/passwd"])
def test_a_redirect_to_an_unsafe_place_is_not_taken(tmp_path: Path, place: str) -> None:
    with _answering(302, Location=place) as url:
        assert "sends us to a place without TLS" in _refusal(url, tmp_path)


def test_a_redirect_in_circles_is_given_up(tmp_path: Path) -> None:
    with _answering(302, Location="/tool") as url:
        assert "redirects too often" in _refusal(url, tmp_path)
