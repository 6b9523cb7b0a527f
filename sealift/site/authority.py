"""The site's CA on the control node: where it lies, how it is made and opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.site.certificate_check import ca_problems
from sealift.site.certificate_files import PEM_LIMIT, fits_key, is_of, parse_certificates, read_certificates
from sealift.site.certificates import Authority, CaKey, new_authority
from sealift.site.inventory import Inventory
from sealift.site.pair_files import put_pair
from sealift.site.secrets import read_private


def one_ca(cas: Iterable[Path]) -> Path:
    """The file of the CA that vouches for all. Raises SealiftError where they are several."""
    found = sorted(set(cas))
    if len(found) > 1:
        raise SealiftError(
            f"the hosts have several CAs ({', '.join(map(str, found))}), expected one. Name hosts of one CA, "
            "or set gateway.ca alike for all."
        )
    return found[0]


def key_of(ca: Path) -> Path:
    """Where a CA's key lies, unless it is kept elsewhere: `ca.key` beside `ca.crt`."""
    return ca.with_suffix(".key")


def has_open_key(ca: Path) -> bool:
    """Whether the CA's key is beside its certificate and not encrypted."""
    try:
        return not _is_encrypted(read_limited(key_of(ca), PEM_LIMIT))
    except SealiftError:
        return False


def key_problems(ca: Path) -> Iterator[str]:
    """What is wrong with a CA's key, as far as it is beside its certificate and not encrypted."""
    if not has_open_key(ca):
        return
    key = key_of(ca)
    try:
        read_private(key, PEM_LIMIT)
    except SealiftError as error:
        yield str(error)
    if not any(fits_key(known, key) for known in read_certificates(ca)):
        yield f"{key}: {_no_ca_of_it(ca)} Remove it, or bring back the right one."


def make_authority(inventory: Inventory, now: datetime) -> Path:
    """Make a CA for a site that has none. Gives its certificate's file; its key is beside it, mode 0600.

    Raises SealiftError where one of the two is there, whatever it is: nothing is overwritten.
    """
    ca = one_ca(host.settings.gateway.ca for host in inventory.hosts)
    if ca.exists():
        raise SealiftError(
            f"{ca}: is there already, expected no CA. docs/certificates.md says how another takes its place."
        )
    if key_of(ca).exists():
        raise SealiftError(
            f"{key_of(ca)}: is there without {ca}, expected both or none. Bring back the CA's certificate; "
            "if it has signed nothing yet, remove the key."
        )
    put_pair(ca, key_of(ca), new_authority(inventory.name, now).pair)
    return ca


def open_authority(ca: Path, key: Path, passphrase: Callable[[], str], now: datetime) -> Authority:
    """Open a CA to sign with it.

    + ca: its certificate, PEM; where several stand there, it is the one that the key belongs to
    + key: its private key, PEM: mode 0600, or encrypted, as it should be on a stick, which knows no modes
    + passphrase: asked for that of an encrypted key

    Raises SealiftError where it cannot sign, without anything of the key in it.
    """
    if not ca.exists():
        raise SealiftError(
            f"{ca}: not found, expected the CA's certificate. Make a CA: sealift ca init SITE. For one of "
            "your own, copy its certificate there and write requests: --own-ca."
        )
    private = _open_key(key, passphrase)
    known = parse_certificates(read_limited(ca, PEM_LIMIT))
    signers = [found for found in known if is_of(found, private.public_key())]
    if not signers:
        raise SealiftError(f"{key}: {_no_ca_of_it(ca)} Name another with --ca-key.")
    problems = list(ca_problems(ca, signers[0], now))
    if problems:
        raise SealiftError("\n".join(problems))
    return Authority(signers[0], private)


def _open_key(path: Path, passphrase: Callable[[], str]) -> CaKey:
    if not path.exists():
        raise SealiftError(
            f"{path}: not found, expected the CA's key. Name it with --ca-key, if it is kept elsewhere; "
            "--own-ca writes requests for a CA that is not sealift's."
        )
    content = read_limited(path, PEM_LIMIT)
    encrypted = _is_encrypted(content)
    try:
        if encrypted:
            key = load_pem_private_key(content, passphrase().encode())
        else:
            key = load_pem_private_key(read_private(path, PEM_LIMIT), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            raise SealiftError(f"{path}: is not opened by this passphrase. Try again.") from None
        raise SealiftError(f"{path}: is no private key, expected PEM. Is it the right file?") from None
    if not isinstance(key, EllipticCurvePrivateKey | RSAPrivateKey):
        raise SealiftError(f"{path}: is neither EC nor RSA, which clients expect of a CA. Make another.")
    return key


def _no_ca_of_it(ca: Path) -> str:
    return f"does not belong to {ca}, expected the key of a CA in there."


def _is_encrypted(content: bytes) -> bool:
    """PKCS #8 says it in its first line, the older form in its second."""
    return b"ENCRYPTED" in content
