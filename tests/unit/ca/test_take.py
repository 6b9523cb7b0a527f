"""What another CA signed, a CA that follows another, and the list of all certificates."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from sealift.errors import SealiftError
from sealift.site import certificates
from sealift.site.authority import key_of, make_authority, open_authority
from sealift.site.certificate_files import fits_key
from sealift.site.certificate_list import certificate_list
from sealift.site.certificates import Names
from sealift.site.check import check_site
from sealift.site.init import make_site
from sealift.site.inventory import Inventory, load_inventory
from sealift.site.issuing import Wanted, issue, must_have, request, take
from sealift.site.pair_files import beside
from sealift.site.places import chosen, host_places
from tests.unit.ca.ca_site import (
    NOW,
    asked,
    content,
    listed,
    nobody,
    openssl,
    places,
    renewed,
    sealift,
    strictly_connected,
    verify,
)
from tests.unit.test_site import HOSTS, site


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
    ran = sealift("take", own.parent, *signed(own, "h1", "h2.example", "g1", "monitor"))
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
    assert list(found) == ["CA", "h1", "h2.example", "g1", "sealift-monitor"]
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
