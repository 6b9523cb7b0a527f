"""The site's CA: what it issues, renews and takes, as openssl, requests and Python's own TLS see it."""

from __future__ import annotations

import os
import pty
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509

from sealift.errors import SealiftError
from sealift.fleet.named_host import NamedHost
from sealift.site import certificates
from sealift.site.authority import key_of, make_authority, open_authority
from sealift.site.certificate_files import dns_names, fits_key, ip_addresses
from sealift.site.certificate_list import Listed, certificate_list
from sealift.site.certificates import Names
from sealift.site.check import check_site
from sealift.site.init import make_site
from sealift.site.inventory import Inventory, load_inventory
from sealift.site.issuing import Wanted, due, issue, lacking, must_have, must_lack, request, take
from sealift.site.pair_files import beside
from sealift.site.places import Place, chosen, host_places, other_place, other_places
from tests.unit.test_site import HOSTS, site

NOW = datetime.now(UTC) + timedelta(minutes=5)  # after whatever openssl makes in a test
MONTH = timedelta(days=30)
WORDS = "correct horse"  # a passphrase


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    """The folder of a new site's certificates."""
    return make_site(site(tmp_path), tmp_path / "sites").folder / "tls"


@pytest.fixture
def acme(tls: Path) -> Inventory:
    return load_inventory(str(tls.parent))


def nobody() -> str:
    raise AssertionError("no passphrase is needed")


def places(inventory: Inventory) -> tuple[Place, ...]:
    return (*host_places(inventory), *other_places(inventory))


def renewed(inventory: Inventory, names: Sequence[str], now: datetime = NOW) -> tuple[Place, ...]:
    found = chosen(places(inventory), names)
    ca = found[0].ca
    issue([Wanted(place, place.names()) for place in found], open_authority(ca, key_of(ca), nobody, now), now)
    return found


def openssl(*arguments: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def verify(tls: Path, name: str, *arguments: str) -> str:
    """What openssl says, as strictly as it can. Raises CalledProcessError where it refuses."""
    strict = ("-x509_strict", "-check_ss_sig", "-purpose", "sslserver")
    return openssl("verify", *strict, "-CAfile", "ca.crt", *arguments, f"{name}.crt", cwd=tls)


def sealift(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sealift", "ca", *map(str, arguments)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def listed(inventory: Inventory, now: datetime = NOW) -> dict[str, Listed]:
    return {each.name: each for each in certificate_list(inventory, now).certificates}


@contextmanager
def server(certificate: Path) -> Iterator[int]:
    """Answers one HTTPS request on loopback with this certificate; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answering = threading.Thread(target=_answer, args=(listening, context))
        answering.start()
        yield int(listening.getsockname()[1])
        answering.join(10)


def _answer(listening: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listening.accept()
    with connection, context.wrap_socket(connection, server_side=True) as secured:
        secured.recv(4096)
        secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def asked(certificate: Path, ca: Path, name: str) -> str:
    """As `sealift ask` and acceptance ask, by requests."""
    with server(certificate) as port, requests.Session() as session:
        session.trust_env = False
        session.mount("https://", NamedHost(name))
        return session.get(f"https://127.0.0.1:{port}/", verify=str(ca), timeout=10).text


def strictly_connected(certificate: Path, ca: Path, name: str) -> str | None:
    """As Python 3.13 connects: what is not as RFC 5280 has it is refused."""
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        server(certificate) as port,
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\n\r\n")
        secured.recv(4096)
        return secured.version()


def test_openssl_believes_what_init_made_by_name_and_address(tls: Path) -> None:
    for host in HOSTS:
        by_address = ("-verify_ip", host.address) if certificates.is_address(host.address) else ()
        assert "OK" in verify(tls, host.name, "-verify_hostname", host.name, *by_address)
    with pytest.raises(subprocess.CalledProcessError):
        verify(tls, "h1", "-verify_hostname", "g1")


def test_a_ca_is_made_for_a_site_that_has_none_and_never_over_another(tls: Path, acme: Inventory) -> None:
    before = content(tls)
    with pytest.raises(SealiftError, match=r"ca\.crt: is there already"):
        make_authority(acme, NOW)
    (tls / "ca.crt").unlink()
    with pytest.raises(SealiftError, match=r"ca\.key: is there without .*ca\.crt"):
        make_authority(acme, NOW)
    assert content(tls) == {name: held for name, held in before.items() if name != "ca.crt"}
    (tls / "ca.key").unlink()
    assert make_authority(acme, NOW) == tls / "ca.crt"
    assert stat.S_IMODE((tls / "ca.key").stat().st_mode) == 0o600
    assert (tls / "ca.key").read_bytes() != before["ca.key"]


def test_hosts_without_a_certificate_get_one_and_others_keep_theirs(tls: Path, acme: Inventory) -> None:
    for name in ("h1.crt", "g1.crt", "g1.key"):
        (tls / name).unlink()
    before = content(tls)
    ran = sealift("issue", tls.parent, "--all")
    assert ran.returncode == 0, ran.stderr
    assert "for h1, 10.9.0.1" in ran.stdout and f"sealift apply {tls.parent}" in ran.stdout
    assert "OK" in verify(tls, "h1", "-verify_ip", "10.9.0.1") and "OK" in verify(tls, "g1")
    assert content(tls).keys() == {*before, "h1.crt", "g1.crt", "g1.key"}
    assert content(tls)["h2.example.crt"] == before["h2.example.crt"]
    assert content(tls)["h1.key"] != before["h1.key"]
    with pytest.raises(SealiftError, match=r"h1\.crt: is there already.* sealift ca renew SITE h1"):
        must_lack(host_places(acme))
    assert lacking(host_places(acme)) == ()


def test_a_name_that_is_no_host_gets_a_certificate_and_keeps_its_names(tls: Path, acme: Inventory) -> None:
    names = ("--name", "llm.example", "--name", "ai.example", "--address", "10.9.0.9")
    ran = sealift("issue", tls.parent, *names)
    assert ran.returncode == 0, ran.stderr
    assert f"Copy {tls}/llm.example.key" in ran.stdout and "apply" not in ran.stdout
    old = (tls / "llm.example.crt").read_bytes()
    assert "OK" in verify(tls, "llm.example", "-verify_hostname", "ai.example", "-verify_ip", "10.9.0.9")
    (place,) = renewed(acme, ["llm.example"])
    assert place.hosts == () and place.certificate.read_bytes() != old
    assert "OK" in verify(tls, "llm.example", "-verify_hostname", "ai.example", "-verify_ip", "10.9.0.9")
    assert certificate_list(acme, NOW).problems == ()
    assert listed(acme)["llm.example"].names == ("llm.example", "ai.example", "10.9.0.9")


@pytest.mark.parametrize("name", ["h1", "g1", "ca"])
def test_another_name_never_takes_a_file_of_the_inventory(tls: Path, acme: Inventory, name: str) -> None:
    with pytest.raises(SealiftError, match="is a host or file of the inventory"):
        other_place(acme, tls / "ca.crt", name)


@pytest.mark.parametrize(
    ("dns", "addresses", "told"),
    [
        (["../x"], [], r"\.\./x: is no DNS name"),
        (["10.0.0.1"], [], r"10\.0\.0\.1: is no DNS name"),
        (["a..b"], [], r"a\.\.b: is no DNS name"),
        (["a"], ["10.0.0"], r"10\.0\.0: is no IP address"),
    ],
)
def test_what_cannot_be_in_a_certificate_is_refused(dns: list[str], addresses: list[str], told: str) -> None:
    with pytest.raises(SealiftError, match=told):
        Names.parse(dns, addresses)


def test_names_that_nobody_knows_are_told_with_those_that_are_known(acme: Inventory) -> None:
    with pytest.raises(SealiftError, match=r"h9, x: no certificate is for that.* h1, h2\.example, g1\."):
        chosen(host_places(acme), ["h9", "h1", "x"])


def test_a_renewed_certificate_has_a_new_key_and_the_hosts_names_of_today(tls: Path, acme: Inventory) -> None:
    key, old = (tls / "h1.key").read_bytes(), x509.load_pem_x509_certificate((tls / "h1.crt").read_bytes())
    config = tls.parent / "ssh_config"
    config.write_text(config.read_text().replace("10.9.0.1\n", "10.9.0.77\n"))
    renewed(acme, ["h1"])
    new = x509.load_pem_x509_certificate((tls / "h1.crt").read_bytes())
    assert (tls / "h1.key").read_bytes() != key and stat.S_IMODE((tls / "h1.key").stat().st_mode) == 0o600
    assert new.serial_number != old.serial_number
    assert dns_names(new) == ["h1"] and ip_addresses(new) == ["10.9.0.77"]
    assert "OK" in verify(tls, "h1") and check_site(str(tls.parent), NOW).warnings == ()
    assert [name for name in content(tls) if name.endswith((".new", ".old"))] == []


def test_a_dns_name_that_somebody_added_outlasts_a_renewal(tls: Path, acme: Inventory) -> None:
    (place, *_) = host_places(acme)
    authority = open_authority(place.ca, key_of(place.ca), nobody, NOW)
    issue([Wanted(place, place.names().with_dns(["llm.example"]))], authority, NOW)
    renewed(acme, ["h1"])
    assert listed(acme)["h1"].names == ("h1", "llm.example", "10.9.0.1")


def test_what_runs_out_soon_is_due_and_nothing_else(acme: Inventory) -> None:
    later = NOW + timedelta(days=800)
    renewed(acme, ["g1"], later)
    assert [place.name for place in due(places(acme), later, MONTH)] == ["h1", "h2.example"]
    assert due(places(acme), NOW, MONTH) == () and len(due(places(acme), NOW, timedelta(days=900))) == 2


def test_a_certificate_does_not_outlast_its_ca(tls: Path, acme: Inventory) -> None:
    ca = x509.load_pem_x509_certificate((tls / "ca.crt").read_bytes())
    renewed(acme, ["h1"], ca.not_valid_after_utc - timedelta(days=100))
    new = x509.load_pem_x509_certificate((tls / "h1.crt").read_bytes())
    assert new.not_valid_after_utc == ca.not_valid_after_utc
    with pytest.raises(SealiftError, match=r"ca\.crt: ran out on"):
        renewed(acme, ["h1"], ca.not_valid_after_utc + timedelta(days=1))


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
    while part := _read(terminal):
        said += part
        if not typed and b"Passphrase of" in said and said.rstrip().endswith(b":"):
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


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of certificates of a site with a CA of its own, whose certificate was copied there."""
    folder = make_site(site(tmp_path, own_ca=True), tmp_path / "sites").folder / "tls"
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/O=Site/CN=Root", "-days", "900"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", "root.key", "-out", "root.crt"),
        cwd=tmp_path,
    )
    (folder / "ca.crt").write_bytes((tmp_path / "root.crt").read_bytes())
    return folder


def signed(own: Path, *names: str) -> list[Path]:
    """What the site's own CA makes of requests."""
    root = own.parents[2]
    for name in names:
        openssl(
            *("x509", "-req", "-in", own / f"{name}.csr", "-CA", root / "root.crt", "-days", "300"),
            *("-CAkey", root / "root.key", "-copy_extensions", "copyall", "-out", root / f"{name}.pem"),
        )
    return [root / f"{name}.pem" for name in names]


def test_what_the_sites_own_ca_signed_is_taken_and_renewed(own: Path) -> None:
    inventory = load_inventory(str(own.parent))
    ran = sealift("take", own.parent, *signed(own, "h1", "h2.example", "g1"))
    assert ran.returncode == 0, ran.stderr
    assert "OK" in verify(own, "h1", "-verify_hostname", "h1") and not list(own.glob("*.csr"))
    assert certificate_list(inventory, NOW).problems == ()

    before = content(own)
    assert sealift("renew", own.parent, "h1", "--own-ca").returncode == 0
    assert {name: held for name, held in content(own).items() if name in before} == before
    request_of_h1, waiting = (own / "h1.csr").read_bytes(), beside(own / "h1.key").read_bytes()
    (answer,) = signed(own, "h1")
    h1 = chosen(host_places(inventory), ["h1"])
    request([Wanted(place, place.names()) for place in h1])  # again, while the CA has it
    assert beside(own / "h1.key").read_bytes() == waiting and request_of_h1
    take([answer], places(inventory), NOW)
    assert content(own).keys() == before.keys() and content(own)["h1.key"] == waiting
    assert "OK" in verify(own, "h1") and certificate_list(inventory, NOW).problems == ()


def test_a_taking_that_was_cut_off_is_mended_by_taking_again(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = load_inventory(str(own.parent))
    take(signed(own, "h1"), places(inventory), NOW)
    request([Wanted(place, place.names()) for place in chosen(host_places(inventory), ["h1"])])
    (answer,) = signed(own, "h1")
    replace = Path.replace

    def cut_off(path: Path, target: Path) -> Path:
        if path.name == "h1.crt.new":
            raise KeyboardInterrupt
        return replace(path, target)

    with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
        cut.setattr(Path, "replace", cut_off)
        take([answer], places(inventory), NOW)
    assert not fits_key(x509.load_pem_x509_certificate((own / "h1.crt").read_bytes()), own / "h1.key")
    take([answer], places(inventory), NOW)
    assert "OK" in verify(own, "h1")
    assert fits_key(x509.load_pem_x509_certificate((own / "h1.crt").read_bytes()), own / "h1.key")


def test_nothing_is_taken_where_one_answer_is_wrong(own: Path, tmp_path: Path) -> None:
    inventory = load_inventory(str(own.parent))
    h1, g1 = signed(own, "h1", "g1")
    openssl("x509", "-in", g1, "-outform", "DER", "-out", tmp_path / "g1.der")
    other = certificates.new_authority("other", NOW)
    (tmp_path / "other.pem").write_bytes(other.issue(Names(("h1",)), NOW).certificate)
    (tmp_path / "ours.csr").write_bytes((own / "h2.example.csr").read_bytes())
    openssl(
        *("x509", "-req", "-in", own / "h2.example.csr", "-CA", "root.crt", "-CAkey", "root.key"),
        *("-days", "300", "-out", "nameless.pem"),
        cwd=tmp_path,
    )
    before = content(own)
    files = [h1, *(tmp_path / name for name in ("g1.der", "other.pem", "root.crt", "nameless.pem", "none"))]
    with pytest.raises(SealiftError) as refused:
        take(files, places(inventory), NOW)
    for told in (
        "g1.der: is no certificate, expected PEM",
        "openssl x509 -inform DER",
        "other.pem: belongs to no key of this site",
        "root.crt: is a CA's certificate",
        "nameless.pem: is for no name, expected h2.example among",
        "none: not found",
    ):
        assert told in str(refused.value)
    assert content(own) == before


def test_one_ca_follows_another_as_the_manual_says(tls: Path, acme: Inventory) -> None:
    """docs/certificates.md, "One CA follows another"."""
    shell = ["sh", "-ec", "mkdir -m 700 former\nmv ca.crt ca.key former"]
    subprocess.run(shell, cwd=tls, check=True)
    make_authority(acme, NOW)
    subprocess.run(["sh", "-ec", "cat former/ca.crt >> ca.crt"], cwd=tls, check=True)
    assert certificate_list(acme, NOW).problems == () == certificate_list(acme, NOW).warnings
    assert [line for line in check_site(str(tls.parent), NOW).problems if "/tls/" in line] == []

    renewed(acme, ["h1"])
    assert certificate_list(acme, NOW).problems == ()
    new, old = (each for each in certificate_list(acme, NOW).certificates if each.name == "CA")
    assert (new.fits_key, old.fits_key) == (True, None) and new.fingerprint != old.fingerprint
    for host in ("h1", "g1"):  # one of the new CA, one of the former
        assert "OK" in verify(tls, host, "-verify_hostname", host)
        assert asked(tls / f"{host}.crt", tls / "ca.crt", host) == "ok"
        assert strictly_connected(tls / f"{host}.crt", tls / "ca.crt", host) == "TLSv1.3"
    renewed(acme, [])
    shell = ["sh", "-ec", "openssl x509 -in ca.crt -out ca.crt.new\nmv ca.crt.new ca.crt\nrm -r former"]
    subprocess.run(shell, cwd=tls, check=True)
    assert certificate_list(acme, NOW).problems == ()
    assert listed(acme)["CA"] == new


def test_a_former_ca_that_ran_out_is_a_warning_beside_another(tls: Path, acme: Inventory) -> None:
    former = certificates.new_authority("acme", NOW - certificates.CA_VALID - timedelta(days=9))
    (tls / "ca.crt").write_bytes((tls / "ca.crt").read_bytes() + former.pair.certificate)
    found = certificate_list(acme, NOW)
    assert found.problems == ()
    (warning,) = found.warnings
    assert "ca.crt: one of its CAs, CN=sealift acme" in warning and "ran out on" in warning
    (tls / "ca.crt").write_bytes(former.pair.certificate)
    assert [line for line in certificate_list(acme, NOW).problems if "ca.crt: ran out on" in line]


def test_the_list_has_what_openssl_says(tls: Path, acme: Inventory) -> None:
    found = listed(acme)
    assert list(found) == ["CA", "h1", "h2.example", "g1"]
    said = openssl(
        *("x509", "-in", tls / "h1.crt", "-noout", "-serial", "-fingerprint", "-sha256", "-enddate")
    ).lower()
    h1 = found["h1"]
    assert f"serial={h1.serial}" in said.replace("serial=0", "serial=")
    assert f"fingerprint={h1.fingerprint}" in said.replace(":", "")
    assert (h1.days_left, h1.fits_key, h1.fits_host) == (824, True, True)
    assert h1.issuer == found["CA"].names[0] == f"sealift acme {NOW:%Y-%m-%d}"


def test_showing_fails_where_something_does_not_fit_or_runs_out(tls: Path, acme: Inventory) -> None:
    ran = sealift("show", tls.parent)
    assert ran.returncode == 0 and f"sealift acme {NOW:%Y-%m-%d}" in ran.stdout
    assert openssl("x509", "-in", tls / "ca.crt", "-noout", "-fingerprint", "-sha256").strip().split("=")[
        1
    ] in (ran.stdout)
    (place,) = chosen(places(acme), ["h1"])
    authority = open_authority(place.ca, key_of(place.ca), nobody, NOW)
    issue([Wanted(place, place.names())], authority, NOW - certificates.SERVER_VALID + timedelta(days=9))
    ran = sealift("show", tls.parent)
    assert ran.returncode == 1 and "warning" in ran.stdout and "h1.crt: runs out in " in ran.stdout
    (tls / "h1.crt").write_bytes((tls / "g1.crt").read_bytes())
    ran = sealift("show", tls.parent, "--json")
    assert ran.returncode == 1 and '"fits_host": false' in ran.stdout and '"ok": false' in ran.stdout
    with pytest.raises(SealiftError, match=r"h2\.example\.crt: not found.* sealift ca issue SITE"):
        (tls / "h2.example.crt").unlink()
        must_have(host_places(acme))


def test_a_certificate_that_hosts_share_is_for_all_of_them(tls: Path) -> None:
    settings = tls.parent / "group_data/all.py"
    settings.write_text(settings.read_text().replace("{host}", "all"))
    inventory = load_inventory(str(tls.parent))
    (place,) = host_places(inventory)
    issue([Wanted(place, place.names())], open_authority(tls / "ca.crt", tls / "ca.key", nobody, NOW), NOW)
    for host in HOSTS:
        assert "OK" in verify(tls, "all", "-verify_hostname", host.name)
