"""What is shipped, and what a host makes of it: the real receiver, on folders of this machine."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

import sealift.ssh as ssh_of
from sealift.blob import Blob
from sealift.errors import SealiftError
from sealift.fleet.named_host import url_of
from sealift.ship.over_ssh import RECEIVER
from sealift.ship.plan import Have, Item, parse_listing, plan
from sealift.ssh import Ssh, on_all

CONTENT = b"weights" * 5000
HEX = hashlib.sha256(CONTENT).hexdigest()
BLOB = Blob(digest=f"sha256:{HEX}", size=len(CONTENT))
NOTHING = Have({}, frozenset(), {}, free=10**9)


@dataclass(frozen=True)
class Store:
    """A host store."""

    root: Path

    @property
    def blob(self) -> Path:
        return self.root / "blobs" / HEX

    @property
    def partial(self) -> Path:
        return self.root / "partial" / HEX

    def receive(self, stream: bytes) -> tuple[int, list[str]]:
        """Run receiver.sh on a stream; give its exit code and what it says after `ready`."""
        folders = [str(self.root / name) for name in ("blobs", "partial", "ship.lock")]
        ran = subprocess.run(
            ["sh", "-c", RECEIVER, "sealift", *folders], input=stream, capture_output=True, check=False
        )
        said = ran.stdout.decode().splitlines()
        return ran.returncode, said[said.index("ready") + 1 :]

    def have(self) -> Have:
        """What it says it has."""
        folders = [str(self.root / name) for name in ("blobs", "partial", "ship.lock")]
        ran = subprocess.run(
            ["sh", "-c", RECEIVER, "sealift", *folders], input=b"", capture_output=True, check=True
        )
        return parse_listing("h1", ran.stdout.decode().splitlines())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sent(content: bytes = CONTENT, offset: int = 0) -> bytes:
    return f"blob {HEX} {len(CONTENT)} {offset}\n".encode() + content[offset:]


def test_a_blob_is_stored_marked_and_not_shipped_again(store: Store) -> None:
    assert store.receive(sent() + b"end\n") == (0, [f"ok {HEX}", "done"])
    assert store.blob.read_bytes() == CONTENT
    assert (store.blob.stat().st_mtime, store.blob.stat().st_mode & 0o777) == (1, 0o444)
    assert plan([BLOB], store.have()).items == ()


def test_a_stream_that_ends_leaves_a_partial_blob_that_the_next_one_completes(store: Store) -> None:
    code, said = store.receive(sent(CONTENT[:1000]))
    assert (code, said) == (1, [])
    assert plan([BLOB], store.have()).items == (Item(BLOB, offset=1000),)
    assert store.receive(sent(offset=1000) + b"end\n") == (0, [f"ok {HEX}", "done"])
    assert store.blob.read_bytes() == CONTENT
    assert not store.partial.exists()


def test_a_whole_partial_blob_is_only_hashed(store: Store) -> None:
    store.partial.parent.mkdir()
    store.partial.write_bytes(CONTENT)
    assert store.receive(sent(offset=len(CONTENT)) + b"end\n") == (0, [f"ok {HEX}", "done"])


def test_wrong_content_is_thrown_away_and_the_rest_goes_on(store: Store) -> None:
    wrong = b"x" + CONTENT[1:]
    assert store.receive(sent(wrong) + sent() + b"end\n") == (0, [f"bad {HEX}", f"ok {HEX}", "done"])
    assert store.blob.read_bytes() == CONTENT


def test_an_altered_blob_is_noticed_and_removed(store: Store) -> None:
    store.receive(sent() + b"end\n")
    store.blob.chmod(0o644)
    store.blob.write_bytes(b"x" + CONTENT[1:])
    assert plan([BLOB], store.have()).check == (BLOB,)
    assert store.receive(f"check {HEX} {len(CONTENT)}\n".encode()) == (0, [f"gone {HEX}"])
    assert not store.blob.exists()


def test_a_touched_blob_that_is_right_is_kept_and_marked(store: Store) -> None:
    store.receive(sent() + b"end\n")
    store.blob.touch()
    assert store.receive(f"check {HEX} {len(CONTENT)}\n".encode()) == (0, [f"kept {HEX}"])
    assert plan([BLOB], store.have()) == plan([], NOTHING)


def test_a_name_that_leads_out_of_the_store_is_refused(store: Store) -> None:
    code, said = store.receive(b"blob ../../etc 1 0\nx")
    assert (code, said) == (1, [])


def test_only_the_rest_of_a_partial_blob_is_planned() -> None:
    have = Have({}, frozenset(), {HEX: 30_000}, free=0)
    assert plan([BLOB], have).bytes_total == 5000


def test_a_partial_blob_that_is_too_long_is_shipped_anew() -> None:
    have = Have({}, frozenset(), {HEX: len(CONTENT) + 1}, free=0)
    assert plan([BLOB], have).items == (Item(BLOB, offset=0),)


def test_a_blob_of_another_size_is_shipped_anew() -> None:
    have = Have({HEX: 1}, frozenset(), {}, free=0)
    assert plan([BLOB], have).items == (Item(BLOB, offset=0),)


def test_a_listing_passes_over_what_is_no_blob() -> None:
    listing = ["motd", "blob ../x 1 1.0 444", f"blob {HEX} 35000 1.0000000000 444", "free 7"]
    assert parse_listing("h1", listing) == Have({HEX: 35000}, frozenset(), {}, free=7)


def test_a_listing_without_an_end_is_refused() -> None:
    with pytest.raises(SealiftError, match=r"^h1: does not tell what it has"):
        parse_listing("h1", [f"partial {HEX} 1"])


def test_every_host_that_fails_is_named_and_the_others_have_results() -> None:
    def step(host: str) -> str:
        if host in ("h1", "h3"):
            raise SealiftError(f"{host}: broken")
        return host

    gathered = on_all(["h1", "h2", "h3"], step)
    assert gathered.results == {"h2": "h2"}
    with pytest.raises(SealiftError, match=r"^h1: broken\nh3: broken$"):
        gathered.all()


def test_a_host_that_does_not_answer_is_named_with_a_remedy(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host h1\n    ProxyCommand false\n")
    with pytest.raises(SealiftError, match=r"^h1: does not answer over SSH .* Try: ssh -F"):
        Ssh("h1", config).run("true")


def test_a_host_that_ssh_says_nothing_about_does_not_answer() -> None:
    """At LogLevel=ERROR, ssh is silent about a connection that breaks before the banners are exchanged."""
    refused = Ssh("h1", Path("ssh_config")).failure(255, b"")
    assert str(refused).startswith("h1: does not answer over SSH (silently), expected a shell.")


def test_what_a_host_says_in_an_error_has_no_control_characters() -> None:
    error = Ssh("h1", Path("ssh_config")).failure(1, b"\x1b[2Jgone\n\n")
    assert str(error) == "h1: a command failed there with exit code 1: [2Jgone."


@pytest.mark.parametrize("number", ["x", "-5", "9" * 5000, "\u0663", ""])
def test_a_listing_with_numbers_that_are_none_is_passed_over(number: str) -> None:
    lines = [f"blob {HEX} {number} 1.0000000000 444", f"partial {HEX} {number}", "free 1"]
    assert parse_listing("h1", lines) == Have({}, frozenset(), {}, free=1)
    with pytest.raises(SealiftError, match=r"^h1: does not tell what it has"):
        parse_listing("h1", [f"free {number}"])


def test_commands_become_roots_by_sudo_where_root_does_not_log_in() -> None:
    *_, remote = Ssh("h2", Path("ssh_config"), sudo=True).command("echo $1", "a b")
    assert shlex.split(remote)[:5] == ["exec", "sudo", "-n", "sh", "-c"]
    assert shlex.split(remote)[6:] == ["sealift", "a b"]
    *_, remote = Ssh("h1", Path("ssh_config")).command("true")
    assert shlex.split(remote)[:3] == ["exec", "sh", "-c"]


@pytest.mark.parametrize("said", ["sudo: a password is required", "bash: line 1: exec: sudo: not found"])
def test_an_administrator_without_sudo_is_told_what_to_do(said: str) -> None:
    refused = Ssh("h2", Path("ssh_config"), sudo=True).failure(1, f"Welcome\n{said}\n".encode())
    assert str(refused).startswith(f"h2: its user may not use sudo without a password ({said}), expected")


def test_what_a_login_shell_says_is_no_reason_of_a_failure(tmp_path: Path) -> None:
    """The real frame around a command, behind a shell that speaks first."""
    *_, remote = Ssh("h1", tmp_path).command("exit 3")
    ran = subprocess.run(["sh", "-c", f"echo Welcome >&2; {remote}"], capture_output=True, check=False)
    assert str(Ssh("h1", tmp_path).failure(ran.returncode, ran.stderr)) == (
        "h1: a command failed there with exit code 3: silently."
    )
    assert "the command there was killed" in str(Ssh("h1", tmp_path).failure(255, ran.stderr))


def test_names_ports_and_addresses_are_those_of_ssh_config(tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text("Host gpu_1\n  HostName fd77::11\n  Port 2222\nHost fe\n  HostName fe80::1%%eth0\n")
    assert Ssh("gpu_1", config).address() == "fd77::11"
    assert url_of("fd77::11", 8443) == "https://[fd77::11]:8443"
    assert url_of(Ssh("fe", config).address(), 8443) == "https://[fe80::1%25eth0]:8443"
    assert url_of("10.0.0.1", 8443) == "https://10.0.0.1:8443"
    assert url_of("gpu_1.example", 8443) == "https://gpu_1.example:8443"


def test_a_full_disk_is_told_by_the_path_that_has_no_room(store: Store) -> None:
    full = store.root / "bin/tee"  # as coreutils says it, when a disk is full after 10 bytes
    full.parent.mkdir()
    full.write_text(
        '#!/bin/sh\nhead -c 10 >>"$2"\necho "tee: $2: No space left on device" >&2\ncat >/dev/null\n'
    )
    full.chmod(0o755)
    folders = [str(store.root / name) for name in ("blobs", "partial", "ship.lock")]
    ran = subprocess.run(
        ["sh", "-c", RECEIVER, "sealift", *folders],
        input=sent() + b"end\n",
        capture_output=True,
        check=False,
        env={"PATH": f"{full.parent}:/usr/bin:/bin"},
    )
    told = Ssh("h1", Path("config")).failure(ran.returncode, b"sealift: begins\n" + ran.stderr)
    assert str(told) == (
        f"h1: has no space left: tee: {store.partial}: No space left on device. "
        "Make room there, then run the same again."
    )
    assert plan([BLOB], store.have()).items == (Item(BLOB, offset=10),)


@pytest.mark.parametrize(
    ("text", "knows", "option"),
    [
        ("Host *\n    User root\n", False, True),
        ("Host *\n    User root\n", True, False),
        ("Host *\n  kexalgorithms sntrup761x25519-sha512@openssh.com\n", False, False),
        ("Include more\n", False, False),
    ],
)
def test_an_older_ssh_gets_a_cheap_key_exchange_unless_the_site_has_a_say(
    text: str, knows: bool, option: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(text)
    monkeypatch.setattr(ssh_of, "_knows", {"mlkem768x25519-sha256": knows}.__getitem__)
    assert ("KexAlgorithms=^curve25519-sha256" in Ssh("h1", config).command("true")) == option


def test_what_ssh_knows_of_key_exchanges_is_read() -> None:
    assert ssh_of._knows("curve25519-sha256")
    assert not ssh_of._knows("curve")
