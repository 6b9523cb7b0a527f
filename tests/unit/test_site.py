"""A site's own inventory: made whole or not at all, and checked without touching a host."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sealift.errors import SealiftError
from sealift.site import certificates
from sealift.site.check import check_site
from sealift.site.init import NewHost, NewSite, make_site
from sealift.site.inventory import load_inventory
from sealift.site.reading import inventory_path
from sealift.site.secrets import open_secrets

NOW = datetime.now(UTC)
TODAY = NOW.date()
HOSTS = (NewHost("h1", "10.9.0.1"), NewHost("h2.example", "h2.example"), NewHost("g1", "10.9.0.3", gpu=True))


def site(folder: Path, **changes: object) -> NewSite:
    """A good site, whose key to log in with and whose host keys are there."""
    key = folder / "id"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-qN", "", "-t", "ed25519", "-f", key], check=True)
    public = " ".join((folder / "id.pub").read_text().split()[:2])
    known = "".join(f"{host.address} {public}\n" for host in HOSTS).encode()
    values = {"name": "acme", "hosts": HOSTS, "release": "demo:1.0", "depot": folder / "depot"}
    more = {"user": "root", "jump": "", "ssh_key": key, "known_hosts": known, "own_ca": False}
    return NewSite(**{**values, **more, **changes})  # type: ignore[arg-type]  # as the test says


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    """The folder of a site that was just made."""
    return make_site(site(tmp_path), tmp_path / "sites").folder


def problems(folder: Path) -> list[str]:
    """What check says, but for the depot, which no test here has."""
    found = check_site(str(folder), NOW).problems
    assert [line for line in found if "demo:1.0: not in the depot" in line]
    return [line for line in found if "demo:1.0: not in the depot" not in line]


def test_a_new_site_has_nothing_wrong(acme: Path) -> None:
    assert problems(acme) == []
    assert check_site(str(acme), NOW).warnings == ()


def test_it_is_read_by_pyinfra_by_the_names_of_folder_and_site(
    acme: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALIFT_SITES", str(acme.parent))
    assert inventory_path("acme") == inventory_path(str(acme)) == acme / "acme.py"
    hosts = {host.name: host for host in load_inventory("acme").hosts}
    assert hosts.keys() == {"h1", "h2.example", "g1"}
    assert hosts["g1"].groups >= {"llm", "gpu"} and "gpu" not in hosts["h1"].groups
    assert hosts["h1"].settings.gateway.key == acme / "tls/h1.key"


def test_what_is_private_is_readable_by_its_owner_alone(acme: Path) -> None:
    modes = {str(path.relative_to(acme)): stat.S_IMODE(path.stat().st_mode) for path in acme.rglob("*.*")}
    private = {name for name, mode in modes.items() if mode == 0o600}
    assert private == {"secrets.age"} | {
        f"tls/{name}.key" for name in ("ca", "h1", "h2.example", "g1", "monitor")
    }
    assert stat.S_IMODE((acme / "identity").stat().st_mode) == 0o600


def test_the_first_client_has_the_key_that_was_shown(tmp_path: Path) -> None:
    made = make_site(site(tmp_path), tmp_path / "sites")
    opened = open_secrets(made.folder / "secrets.age", made.folder / "identity")
    assert opened.api_keys.keys() == {made.client, "acceptance", "probe"}
    assert opened.first_key(NOW.date()).get_secret_value() == made.key
    assert made.key not in repr(opened)


def test_a_site_that_takes_from_staging_asks_for_a_list_of_who_may_promote(tmp_path: Path) -> None:
    folder = make_site(site(tmp_path, takes_from=("staging",)), tmp_path / "sites").folder
    signers = folder / "promotion_signers"
    (hint,) = problems(folder)
    assert hint == (
        f"{signers}: allows nobody sealift-promotion, expected a line with it: "
        'NAME namespaces="sealift-promotion" ssh-ed25519 KEY'
    )
    key = (tmp_path / "id.pub").read_text()
    signers.write_text(f'{signers.read_text()}stage namespaces="sealift-promotion" {key}')
    assert problems(folder) == []
    signers.unlink()
    assert problems(folder) == [f"{signers}: not found. Check the path."]


def test_a_key_of_promotion_is_its_owners_alone(acme: Path, tmp_path: Path) -> None:
    with (acme / "group_data/all.py").open("a") as file:
        file.write(f"promotion = {{'key': {str(tmp_path / 'key')!r}}}\n")
    assert "key: not found, expected the key that signs records" in problems(acme)[0]
    (tmp_path / "key").touch(0o644)
    assert problems(acme) == [
        f"{tmp_path}/key: is open to others, expected mode 0600. Run chmod 600 {tmp_path}/key"
    ]


def test_nothing_is_overwritten(acme: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in acme.rglob("*") if path.is_file()}
    with pytest.raises(SealiftError, match="is there already"):
        make_site(site(tmp_path), acme.parent)
    assert {path: path.read_bytes() for path in acme.rglob("*") if path.is_file()} == before


def test_a_site_that_cannot_be_made_whole_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes, mode: int) -> None:
        if path.name == "secrets.age":
            raise OSError(28, "No space left on device", str(path))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr("sealift.site.init.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        make_site(site(tmp_path), tmp_path / "sites")
    assert list((tmp_path / "sites").iterdir()) == []


def test_a_site_with_a_ca_of_its_own_gets_requests(tmp_path: Path) -> None:
    made = make_site(site(tmp_path, own_ca=True), tmp_path / "sites")
    assert [path.name for path in made.requests] == ["h1.csr", "h2.example.csr", "g1.csr", "monitor.csr"]
    assert not (made.folder / "tls/ca.crt").exists()
    request = x509.load_pem_x509_csr(made.requests[0].read_bytes())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["h1"] and request.is_signature_valid
    assert (
        len([line for line in problems(made.folder) if "not found" in line]) == 6
    )  # three .crt, ca.crt thrice


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "../acme"}, "is no name of a site"),
        ({"hosts": ()}, "has no hosts"),
        ({"hosts": (HOSTS[0], HOSTS[0])}, "h1: is named twice"),
        ({"takes_from": ("../staging",)}, "is no name of an inventory"),
        ({"user": "root; rm"}, "is no name of a user"),
        ({"jump": "a b"}, "is no host"),
    ],
)
def test_what_cannot_be_a_site_is_refused(tmp_path: Path, wrong: dict[str, object], told: str) -> None:
    with pytest.raises(SealiftError, match=told):
        make_site(site(tmp_path, **wrong), tmp_path / "sites")
    assert not (tmp_path / "sites").exists()


@pytest.mark.parametrize("text", ["h1=", "-h", "h1=10.0.0.1;x", "a b", "=1", 'h"1'])
def test_what_is_no_host_is_refused(text: str) -> None:
    if text == "h1=":
        assert NewHost.parse(text) == NewHost("h1", "h1")
        return
    with pytest.raises(SealiftError, match="is no host"):
        NewHost.parse(text)


def _swap_keys(tls: Path) -> None:
    (tls / "h1.key").write_bytes((tls / "g1.key").read_bytes())


def _encrypt(tls: Path) -> None:
    key = load_pem_private_key((tls / "h1.key").read_bytes(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tls / "h1.key").write_bytes(sealed)


def _another_ca(tls: Path) -> None:
    (tls / "ca.crt").write_bytes(certificates.new_authority("other", NOW).pair.certificate)


def _plain_ca(tls: Path) -> None:
    """A CA without keyUsage, as `openssl req -x509` of old makes it."""
    script = "openssl req -x509 -key ca.key -subj '/CN=sealift acme' -days 9 -out ca.crt"
    subprocess.run(["sh", "-c", script], cwd=tls, check=True, capture_output=True)


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "key of another host": (_swap_keys, "h1.key: does not belong to .*h1.crt"),
    "encrypted key": (_encrypt, "h1.key: is encrypted, expected"),
    "garbage key": (lambda tls: (tls / "h1.key").write_text("x"), "h1.key: is no private key"),
    "open key": (lambda tls: (tls / "h1.key").chmod(0o644), "h1.key: has mode 0644, expected 0600"),
    "garbage certificate": (lambda tls: (tls / "h1.crt").write_text("x"), "h1.crt: is no certificate"),
    "no certificate": (lambda tls: (tls / "h1.crt").unlink(), "h1.crt: not found"),
    "certificate and key of another host": (
        lambda tls: [
            (tls / f"h1.{kind}").write_bytes((tls / f"g1.{kind}").read_bytes()) for kind in ("crt", "key")
        ],
        "h1.crt: is for g1, expected h1 among",
    ),
    "another CA": (_another_ca, "h1.crt: is not signed by .*ca.crt but by"),
    "open key of the CA": (lambda tls: (tls / "ca.key").chmod(0o644), "ca.key: has mode 0644, expected 0600"),
    "key of another CA": (
        lambda tls: (tls / "ca.key").write_bytes((tls / "g1.key").read_bytes()),
        "ca.key: does not belong to .*ca.crt",
    ),
    "CA without key usage": (_plain_ca, "ca.crt: does not say that it signs certificates"),
    "no CA but a server": (
        lambda tls: (tls / "ca.crt").write_bytes((tls / "g1.crt").read_bytes()),
        "ca.crt: is not a CA's certificate",
    ),
    "no secrets": (lambda tls: (tls.parent / "secrets.age").unlink(), "secrets.age: not found"),
    "open identity": (lambda tls: (tls.parent / "identity").chmod(0o644), "identity: has mode 0644"),
    "unknown host": (lambda tls: (tls.parent / "known_hosts").write_text(""), "h1: its SSH key is not known"),
    "trusting ssh": (
        lambda tls: (tls.parent / "ssh_config").write_text(
            (tls.parent / "ssh_config").read_text().replace("Checking yes", "Checking no")
        ),
        "h1: .*lets ssh trust a host key that nobody has checked",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_each_mistake_is_told_by_name(acme: Path, what: str) -> None:
    spoil, told = SPOILT[what]
    spoil(acme / "tls")
    found = problems(acme)
    assert [line for line in found if re.search(told, line)], found


def test_all_that_is_missing_is_told_at_once(acme: Path) -> None:
    for name in ("secrets.age", "tls/h1.crt", "tls/g1.key", "tls/ca.crt"):
        (acme / name).unlink()
    found = "\n".join(problems(acme))
    for host in ("h1", "h2.example", "g1"):
        assert f"{host}: {acme}/secrets.age: not found" in found
    assert "tls/h1.crt: not found" in found and "tls/g1.key: not found" in found


def test_a_certificate_that_ran_out_or_will_soon_is_told(acme: Path) -> None:
    later = NOW + certificates.SERVER_VALID + timedelta(days=1)
    assert [line for line in check_site(str(acme), later).problems if "h1.crt: ran out on" in line]
    soon = check_site(str(acme), later - timedelta(days=11))
    assert [line for line in soon.warnings if "h1.crt: runs out in " in line]


def test_a_table_that_a_group_replaces_is_told(acme: Path) -> None:
    (acme / "group_data/gpu.py").write_text('ollama = {"num_parallel": 4}\n')
    (warning,) = [line for line in check_site(str(acme), NOW).warnings if "gpu.py" in line]
    assert "context_length, keep_alive, memory_limit_mib of it does not hold for these hosts" in warning


def test_every_mistake_in_the_settings_is_told(acme: Path) -> None:
    path = acme / "group_data/all.py"
    path.write_text(path.read_text() + 'olama = {}\nminimum = {"memory": 1}\n')
    with pytest.raises(SealiftError) as refused:
        check_site(str(acme), NOW)
    assert "h1: olama: is unknown" in str(refused.value)
    assert "g1: minimum.memory: is unknown" in str(refused.value)
