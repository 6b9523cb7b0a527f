"""The key that signs: looked at before any work, its passphrase asked for where somebody sits."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealift.bundle import signature
from sealift.bundle.build import build
from sealift.bundle.signature import check_key
from sealift.errors import SealiftError
from sealift.progress import silent
from sealift.release.lockfile import dump_lock
from tests.unit import media_bundle, tiny
from tests.unit.media_bundle import content
from tests.unit.samples import Site

# The tool as it is, but with a bar for everything: what it does here takes no two seconds.
WITH_BARS = (
    "import sealift.cli.progress as p; p._MOMENT = -1\n"
    "from sealift.__main__ import main; raise SystemExit(main())"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("SEALIFT_CACHE", str(tmp_path / "cache"))
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    return tiny.site(tmp_path)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    while not socket.exists():
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    yield
    process.terminate()
    process.wait()


def _key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path


def _command(what: str, site: Site, key: Path) -> list[str]:
    """A command that signs."""
    work = site.sources.parent
    (work / "lock").write_bytes(dump_lock(site.lock))
    (work / "depot/bundles").mkdir(parents=True)
    options = {
        "build": [f"{work}/lock", "--sources", str(site.sources), "--out", f"{work}/made"],
        "media": ["write", f"{work}/bundle", f"{work}/made", "--size", "700M"],
        "have": ["--depot", f"{work}/depot", "--out", f"{work}/made/have.json"],
    }
    return [what, *options[what], "--key", str(key)]


def _typed(arguments: list[str], answer: bytes) -> tuple[bytes, int]:
    """Run the tool at a terminal, answer its question after a second; what was seen from the question on."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", WITH_BARS, *arguments])  # noqa: S606 - no shell is meant
    seen, question, asked = b"", b"passphrase", 0.0
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        try:
            chunk = os.read(terminal, 65536) if ready else b""
        except OSError:  # the end, as Linux tells it
            break
        seen += chunk
        if question in seen and not asked:
            asked = time.monotonic()
        if asked and time.monotonic() - asked > 1:
            after, asked = seen[seen.index(question) :], float("inf")
            assert after.count(b"\r") == 0 and b"\x1b" not in after, "something was drawn over the question"
            os.write(terminal, answer + b"\n")
    os.close(terminal)
    return seen[seen.index(question) :], os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("what", ["build", "media", "have"])
def test_the_question_for_a_passphrase_stands_until_it_is_answered(what: str, site: Site) -> None:
    key = _key(site.sources.parent / "closed", "secret")
    said, code = _typed(_command(what, site, key), b"secret")
    assert code == 0, said
    assert list((site.sources.parent / "made").glob("*.sig"))


def test_a_wrong_passphrase_is_answered_in_ssh_keygens_words(site: Site) -> None:
    said, code = _typed(_command("media", site, _key(site.sources.parent / "closed", "secret")), b"wrong")
    assert code == 1
    assert b"incorrect passphrase supplied" in said
    assert b"cannot sign with it: see above" in said


@pytest.mark.parametrize("what", ["build", "media", "have"])
def test_without_a_terminal_nobody_is_asked_and_nothing_begun(what: str, site: Site) -> None:
    work = site.sources.parent
    (work / "askpass").write_text(f"#!/bin/sh\ntouch {work}/asked\necho secret\n")
    (work / "askpass").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", WITH_BARS, *_command(what, site, _key(work / "closed", "secret"))],
        env={**os.environ, "SSH_ASKPASS": str(work / "askpass"), "DISPLAY": ":0"},
        input="secret\n",
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 1
    assert "closed: needs a passphrase, and there is no terminal to ask for it at" in done.stderr
    assert not (work / "asked").exists() and not (work / "made").exists()


def _junk(key: Path) -> Path:
    key.write_text("no key")
    return key


def _public_alone(key: Path) -> Path:
    key.unlink()
    return key.with_suffix(".pub")


def _open_to_all(key: Path) -> Path:
    key.chmod(0o644)
    return key


WRONG: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda key: key.with_name("other"), r"other: not found, expected the key that signs"),
    "a folder": (lambda key: key.parent, r"not found, expected the key that signs"),
    "no key": (_junk, r"key: is no key of OpenSSH: .*is not a public key file"),
    "its public half": (
        _public_alone,
        r"key\.pub: is the public half of a key, and no agent has the private",
    ),
    "open to others": (_open_to_all, r"key: cannot sign with it: Permissions 0644 for .* are too open"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_key_that_cannot_sign_costs_no_build_and_no_signature(
    what: str, site: Site, tmp_path: Path
) -> None:
    spoil, message = WRONG[what]
    before = content(tmp_path / "bundle")
    key = spoil(_key(tmp_path / "key"))
    with pytest.raises(SealiftError, match=message):
        build(site.lock, tmp_path / "no sources are looked at", tmp_path / "bundle", key, silent)
    with pytest.raises(SealiftError, match=message):
        media_bundle.Site(tmp_path / "bundle", key, site.allowed).write(tmp_path / "media")
    assert content(tmp_path / "bundle") == before
    assert not (tmp_path / "media").exists()


def test_an_agents_key_signs_by_its_public_half_and_needs_no_terminal(agent: None, tmp_path: Path) -> None:
    key = _key(tmp_path / "key")
    subprocess.run(["ssh-add", "-q", str(key)], check=True)
    key.unlink()
    public = key.with_suffix(".pub")
    check_key(public)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"me {public.read_text()}")
    assert signature.verify(b"x", signature.sign(b"x", public), allowed) == "me"


def test_a_signature_that_is_there_and_right_stays(site: Site, tmp_path: Path) -> None:
    # ECDSA's differ each time, as those of hardware keys do.
    key, other = _key(tmp_path / "key", kind="ecdsa"), _key(tmp_path / "other", kind="ecdsa")
    media = media_bundle.Site(tmp_path / "bundle", key, site.allowed)

    def signatures(by: Path) -> tuple[bytes, bytes]:
        build(site.lock, site.sources, tmp_path / "bundle", by, silent)
        media_bundle.Site(tmp_path / "bundle", by, media.allowed).write(tmp_path / "media", 1 << 30)
        signed = (tmp_path / "bundle/index.json.sig", tmp_path / "media/TABLE.txt.sig")
        return signed[0].read_bytes(), signed[1].read_bytes()

    first = signatures(key)
    assert signatures(key) == first
    replaced = signatures(other)
    assert not set(replaced) & set(first)
    (tmp_path / "bundle/index.json.sig").write_bytes(first[1])  # the same key's, over something else
    assert signatures(other)[0] not in (first[1], replaced[0])
