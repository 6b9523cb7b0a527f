"""The certificates of a site: whose each is, where it lies, and what it is to be for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.host.settings import GatewaySettings
from sealift.services import MONITOR_NAME
from sealift.site.certificate_files import PEM_LIMIT, dns_names, ip_addresses, is_ca, read_certificates
from sealift.site.certificates import CLIENT, SERVER, Names, is_address
from sealift.site.inventory import Host, Inventory
from sealift.site.pair_files import beside


@dataclass(frozen=True)
class Place:
    """A certificate's place.

    + name: of the host or, for one that no host of the inventory shows, the first of its DNS names
    + hosts: that show it; several, where their settings name one file
    + usage: what it is for
    """

    name: str
    hosts: tuple[Host, ...]
    certificate: Path
    key: Path
    ca: Path
    usage: x509.ObjectIdentifier = SERVER

    @property
    def request(self) -> Path:
        """Where a request to another CA lies."""
        return self.certificate.with_suffix(".csr")

    @property
    def present(self) -> x509.Certificate | None:
        """The certificate that is there, if it is one."""
        return next(iter(read_certificates(self.certificate)), None)

    @property
    def shown_by(self) -> tuple[str, ...]:
        """Names that are demanded of it."""
        if self.usage == CLIENT:
            return (self.name,)
        return tuple(name for host in self.hosts for name in host.asked_as) or (self.name,)

    def gateway(self, certificate: Path | None = None, key: Path | None = None) -> GatewaySettings:
        """It as the settings of a gateway, for the checks.

        + certificate, key: in place of those that are there
        """
        return GatewaySettings(certificate=certificate or self.certificate, key=key or self.key, ca=self.ca)

    def names(self) -> Names:
        """What a new certificate is to be for.

        A host's name and address, as the inventory has them now, a front door's for its clients, and DNS
        names that its certificate has beside them. For a certificate of no host, what it has now, or its
        request.

        Raises SealiftError where nothing says it.
        """
        old = self.present or _request(self.request)
        known = dns_names(old) if old else []
        if self.usage == CLIENT:
            return Names((self.name,))
        if self.hosts:
            each = [_names_of(host) for host in self.hosts]
            dns = (name for names in each for name in names.dns)
            addresses = dict.fromkeys(address for names in each for address in names.addresses)
            return Names((each[0].dns[0],), tuple(addresses)).with_dns((*dns, *known))
        if not old or not known:
            raise SealiftError(
                f"{self.certificate}: has no DNS names, expected one at least. Remove it and make it anew: "
                f"sealift ca issue SITE --name {self.name}"
            )
        return Names(tuple(known), tuple(ip_addresses(old)))


def host_places(inventory: Inventory) -> tuple[Place, ...]:
    """The places of the hosts' certificates, in the inventory's order."""
    by_certificate: dict[Path, list[Host]] = {}
    for host in inventory.hosts:
        by_certificate.setdefault(host.settings.gateway.certificate, []).append(host)
    return tuple(
        Place(hosts[0].name, tuple(hosts), path, hosts[0].settings.gateway.key, hosts[0].settings.gateway.ca)
        for path, hosts in by_certificate.items()
    )


def monitor_places(inventory: Inventory) -> tuple[Place, ...]:
    """The place of the certificate by which hosts that watch read the figures of all."""
    by_files: dict[tuple[Path, Path, Path], list[Host]] = {}
    for host in inventory.hosts:
        monitoring = host.settings.monitoring
        if monitoring.certificate and monitoring.key:
            files = monitoring.certificate, monitoring.key, host.settings.gateway.ca
            by_files.setdefault(files, []).append(host)
    return tuple(Place(MONITOR_NAME, tuple(hosts), *files, CLIENT) for files, hosts in by_files.items())


def own_places(inventory: Inventory) -> tuple[Place, ...]:
    """The places of all certificates that hosts have."""
    return (*host_places(inventory), *monitor_places(inventory))


def all_places(inventory: Inventory) -> tuple[Place, ...]:
    """The places of all certificates, of hosts or not."""
    return (*own_places(inventory), *other_places(inventory))


def other_places(inventory: Inventory) -> tuple[Place, ...]:
    """The places of certificates beside a CA that no host of the inventory has."""
    taken = {place.certificate for place in own_places(inventory)}
    cas = sorted({host.settings.gateway.ca for host in inventory.hosts})
    return tuple(
        place
        for ca in cas
        for place in _beside(ca)
        if place.certificate not in (*taken, *cas)
        and not (place.present and is_ca(place.present))  # a former CA that somebody keeps there
    )


def other_place(inventory: Inventory, ca: Path, name: str) -> Place:
    """The place of a certificate for a name that is no host of the inventory.

    Raises SealiftError where it is one, or the CA's own.
    """
    place = Place(name, (), ca.with_name(f"{name}.crt"), ca.with_name(f"{name}.key"), ca)
    taken = {path for host in own_places(inventory) for path in (host.certificate, host.key)}
    if name in inventory.names or {place.certificate, place.key} & {*taken, ca}:
        raise SealiftError(
            f"{name}: is a host or file of the inventory, expected another name. For a host: "
            f"sealift ca issue SITE {name}"
        )
    return place


def chosen(places: Sequence[Place], names: Sequence[str]) -> tuple[Place, ...]:
    """The places of these names; all where no name is given.

    Raises SealiftError naming those that are of none.
    """
    known = dict.fromkeys(name for place in places for name in place.shown_by)
    unknown = [name for name in names if name not in known]
    if MONITOR_NAME in unknown:
        tls = places[0].ca.parent
        raise SealiftError(
            f"{MONITOR_NAME}: no setting says where it lies, expected monitoring.certificate and "
            f"monitoring.key, such as {tls / 'monitor.crt'} and {tls / 'monitor.key'}. Set both in "
            "group_data/all.py: docs/watch.md"
        )
    if unknown:
        raise SealiftError(
            f"{', '.join(unknown)}: no certificate is for that, expected names of: {', '.join(known)}. "
            "For a name that is no host: sealift ca issue SITE --name NAME"
        )
    return tuple(place for place in places if not names or set(names) & set(place.shown_by))


def keys_there(place: Place) -> tuple[Path, ...]:
    """The keys that a certificate could be of: one that waits for it, then the one in force."""
    return tuple(path for path in (beside(place.key), place.key) if path.exists())


def _beside(ca: Path) -> Iterator[Place]:
    folder = ca.parent
    for name in sorted({path.stem for pattern in ("*.crt", "*.csr") for path in folder.glob(pattern)}):
        yield Place(name, (), folder / f"{name}.crt", folder / f"{name}.key", ca)


def _names_of(host: Host) -> Names:
    own = Names.of_host(host.name, host.ssh.address())
    dns = (name for name in host.asked_as if not is_address(name))
    addresses = (name for name in host.asked_as if is_address(name))
    return Names(own.dns, tuple(dict.fromkeys((*own.addresses, *addresses)))).with_dns(dns)


def _request(path: Path) -> x509.CertificateSigningRequest | None:
    try:
        return x509.load_pem_x509_csr(read_limited(path, PEM_LIMIT))
    except (SealiftError, ValueError):
        return None
