"""The site's CA: what it issues and renews."""

from __future__ import annotations

import re
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from sealift.errors import SealiftError
from sealift.site import certificates
from sealift.site.authority import key_of, make_authority, open_authority
from sealift.site.certificate_files import dns_names, ip_addresses
from sealift.site.certificate_list import certificate_list
from sealift.site.certificates import Names
from sealift.site.check import check_site
from sealift.site.inventory import Inventory, load_inventory
from sealift.site.issuing import Wanted, due, issue, lacking, must_lack
from sealift.site.places import chosen, host_places, other_place
from tests.unit.ca.ca_site import (
    MONTH,
    NOW,
    content,
    listed,
    nobody,
    places,
    renewed,
    sealift,
    verify,
)
from tests.unit.test_site import HOSTS


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


def test_a_site_that_does_not_say_where_the_monitors_certificate_lies_is_told_what_to_set(tls: Path) -> None:
    settings = tls.parent / "group_data/all.py"
    settings.write_text(re.sub(r"(?m)^monitoring = \{\n(.+\n)*?\}\n", "", settings.read_text()))
    ran = sealift("issue", tls.parent, "sealift-monitor")
    assert ran.returncode == 1 and ran.stdout == ""
    assert re.search(r"sealift-monitor: .*monitoring\.certificate and\s+monitoring\.key", ran.stderr)


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
    assert [place.name for place in due(places(acme), later, MONTH)] == [
        "h1",
        "h2.example",
        "sealift-monitor",
    ]
    assert due(places(acme), NOW, MONTH) == () and len(due(places(acme), NOW, timedelta(days=900))) == 3


def test_a_certificate_does_not_outlast_its_ca(tls: Path, acme: Inventory) -> None:
    ca = x509.load_pem_x509_certificate((tls / "ca.crt").read_bytes())
    renewed(acme, ["h1"], ca.not_valid_after_utc - timedelta(days=100))
    new = x509.load_pem_x509_certificate((tls / "h1.crt").read_bytes())
    assert new.not_valid_after_utc == ca.not_valid_after_utc
    with pytest.raises(SealiftError, match=r"ca\.crt: ran out on"):
        renewed(acme, ["h1"], ca.not_valid_after_utc + timedelta(days=1))


def test_a_front_door_shows_the_names_that_applications_ask(tls: Path, acme: Inventory) -> None:
    inventory, names = acme.path, '"front": {"names": ["llm.example", "10.9.0.100"]}'
    group = f'\nfront = [("h1", {{{names}}})]\n'
    inventory.write_text(inventory.read_text() + group)
    lacking_names = [line for line in check_site(str(tls.parent), NOW).problems if "h1.crt" in line]
    assert (
        len(lacking_names) == 2
        and "expected llm.example among its alternative names (DNS)" in lacking_names[0]
    )
    assert "expected 10.9.0.100 among its alternative names (IP)" in lacking_names[1]
    (place,) = renewed(load_inventory(str(tls.parent)), ["h1"])
    assert place.present and {"h1", "llm.example"} <= set(dns_names(place.present))
    assert "10.9.0.100" in ip_addresses(place.present)
    assert not [line for line in check_site(str(tls.parent), NOW).problems if "h1.crt" in line]
