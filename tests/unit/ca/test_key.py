"""The CA's private key, wherever it is kept; and a renewal that was cut off."""

from __future__ import annotations

import os
import pty
import select
import sys
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.site.authority import open_authority
from sealift.site.certificate_list import certificate_list
from sealift.site.check import check_site
from sealift.site.inventory import Inventory
from sealift.site.issuing import due
from tests.unit.ca.ca_site import (
    MONTH,
    NOW,
    WORDS,
    content,
    listed,
    nobody,
    openssl,
    places,
    renewed,
    sealift,
    verify,
)
from tests.unit.test_site import HOSTS


@pytest.mark.parametrize("renames", [0, 1])
def test_a_renewal_that_was_cut_off_is_found_and_mended(
    tls: Path, acme: Inventory, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """The power fails before the first rename, or between the two."""
    before = content(tls)
    done: list[Path] = []
    replace = Path.replace

    def cut_off(path: Path, target: Path) -> Path:
        if path.suffix == ".new":
            if len(done) == renames:
                raise KeyboardInterrupt
            done.append(path)
        return replace(path, target)

    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(Path, "replace", cut_off)
        renewed(acme, ["h1"])
    assert content(tls)["h1.crt"] == before["h1.crt"]
    assert (content(tls)["h1.key"] != before["h1.key"]) is bool(renames)
    problems = certificate_list(acme, NOW).problems
    if renames:
        (problem,) = problems
        assert "h1.key: does not belong to" in problem and "Run sealift ca renew" in problem
        assert listed(acme)["h1"].fits_key is False and problem in "\n".join(
            check_site(str(tls.parent), NOW).problems
        )
        assert [place.name for place in due(places(acme), NOW, MONTH)] == ["h1"]
    else:
        assert problems == ()
    renewed(acme, ["h1"])
    assert certificate_list(acme, NOW).problems == () and content(tls).keys() == before.keys()


def test_a_key_kept_elsewhere_signs_and_may_be_encrypted(tls: Path, acme: Inventory, tmp_path: Path) -> None:
    stick = tmp_path / "stick.key"
    openssl("pkey", "-aes256", "-in", tls / "ca.key", "-out", stick, "-passout", f"pass:{WORDS}")
    (tls / "ca.key").unlink()
    stick.chmod(0o755)  # as FAT has it
    assert open_authority(tls / "ca.crt", stick, lambda: WORDS, NOW).certificate
    with pytest.raises(SealiftError, match=r"stick\.key: is not opened by this passphrase") as refused:
        open_authority(tls / "ca.crt", stick, lambda: "battery staple", NOW)
    assert "battery" not in str(refused.value)
    with pytest.raises(SealiftError, match=r"ca\.key: not found.* --ca-key.* --own-ca"):
        open_authority(tls / "ca.crt", tls / "ca.key", nobody, NOW)
    assert certificate_list(acme, NOW).problems == () and listed(acme)["CA"].fits_key is None


def test_without_a_terminal_an_encrypted_key_is_refused_in_words(tls: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick.key"
    openssl("pkey", "-aes256", "-in", tls / "ca.key", "-out", stick, "-passout", f"pass:{WORDS}")
    before = content(tls)
    ran = sealift("renew", tls.parent, "--all", "--ca-key", stick)
    assert ran.returncode == 1 and "is encrypted, expected a terminal" in ran.stderr
    assert content(tls) == before


def test_the_passphrase_is_asked_for_at_the_terminal_and_not_shown(tls: Path, tmp_path: Path) -> None:
    stick = tmp_path / "stick.key"
    openssl("pkey", "-aes256", "-in", tls / "ca.key", "-out", stick, "-passout", f"pass:{WORDS}")
    before = content(tls)
    child, terminal = pty.fork()
    if not child:
        command = [sys.executable, "-m", "sealift", "ca", "renew", str(tls.parent), "h1"]
        os.execv(sys.executable, [*command, "--ca-key", str(stick)])  # noqa: S606 - no shell is meant
    said = b""
    typed = False
    while True:
        answers, _, _ = select.select([terminal], [], [], 1)
        if answers and not (part := _read(terminal)):
            break
        said += part if answers else b""
        if not answers and b"Passphrase of" in said:  # what is typed before the question is thrown away
            os.write(terminal, f"{WORDS}\n".encode())
            typed = True
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    assert typed and WORDS.encode() not in said
    assert content(tls)["h1.crt"] != before["h1.crt"] and "OK" in verify(tls, "h1")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_an_open_key_that_others_may_read_does_not_sign(tls: Path) -> None:
    (tls / "ca.key").chmod(0o644)
    with pytest.raises(SealiftError, match=r"ca\.key: has mode 0644, expected 0600"):
        open_authority(tls / "ca.crt", tls / "ca.key", nobody, NOW)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "does not belong to"),
        (("genpkey", "-algorithm", "ED25519"), "is neither EC nor RSA"),
        (("rand", "-hex", "64"), "is no private key"),
    ],
)
def test_a_key_of_no_ca_does_not_sign(tls: Path, tmp_path: Path, make: tuple[str, ...], told: str) -> None:
    key = tmp_path / "other.key"
    openssl(make[0], "-out", key, *make[1:])
    key.chmod(0o600)
    with pytest.raises(SealiftError, match=told):
        open_authority(tls / "ca.crt", key, nobody, NOW)


def test_a_ca_that_openssl_made_signs_too(tls: Path, acme: Inventory) -> None:
    extensions = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    (tls / "ca.key").unlink()
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/O=Site/CN=Root", "-days", "900"),
        *(*extensions, "-keyout", "ca.key", "-out", "ca.crt"),
        cwd=tls,
    )
    (tls / "ca.key").chmod(0o600)
    renewed(acme, [])
    assert all("OK" in verify(tls, host.name, "-verify_hostname", host.name) for host in HOSTS)
    assert listed(acme)["h1"].issuer == "CN=Root,O=Site"
