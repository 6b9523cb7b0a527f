"""HTTPS to a host by its address, with a certificate demanded of its name in the inventory."""

from __future__ import annotations

import ipaddress
from typing import Any

from requests.adapters import HTTPAdapter


def url_of(address: str, port: int) -> str:
    """The beginning of a URL: an IPv6 address stands in brackets there, its zone after %25 (RFC 6874).

    + address: IP address or DNS name
    """
    try:
        is_v6 = ipaddress.ip_address(address).version == 6
    except ValueError:
        is_v6 = False
    host = f"[{address.replace('%', '%25')}]" if is_v6 else address
    return f"https://{host}:{port}"


class NamedHost(HTTPAdapter):
    """For a `requests.Session`: connects to the address in the URL, and wants a certificate of another name.

    A site's CA issues certificates of names, and a closed network need not resolve them.

    + name: that the certificate must be of
    + connections: kept open at once
    """

    def __init__(self, name: str, connections: int = 10) -> None:
        self._name = name
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Pass both on to urllib3, as its user guide says under "Custom SNI Hostname"."""
        options.update(server_hostname=self._name, assert_hostname=self._name)
        super().init_poolmanager(*arguments, **options)
