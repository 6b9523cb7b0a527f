"""HTTPS to a host by its address, with a certificate demanded of its name in the inventory."""

from __future__ import annotations

from typing import Any

from requests.adapters import HTTPAdapter


class NamedHost(HTTPAdapter):
    """For a `requests.Session`: connects to the address in the URL, and wants a certificate of another name.

    A site's CA issues certificates of names, and a closed network need not resolve them.
    """

    def __init__(self, name: str) -> None:
        """+ name: that the certificate must be of."""
        self._name = name
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Pass both on to urllib3, as its user guide says under "Custom SNI Hostname"."""
        options.update(server_hostname=self._name, assert_hostname=self._name)
        super().init_poolmanager(*arguments, **options)
