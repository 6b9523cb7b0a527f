"""A host's gateway, asked over TLS as an application would."""

from __future__ import annotations

from collections.abc import Mapping

import requests
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.fleet.named_host import NamedHost, url_of
from sealift.site.inventory import Host

_CONNECT_S, _ANSWER_S = 10, 300  # the first answer waits for the model to be loaded


def send(
    host: Host, key: SecretStr, method: str, path: str, body: Mapping[str, object] | None = None
) -> requests.Response:
    """Send one request to a host's gateway, with TLS checked against the site's CA.

    + key: a client's
    + path: from the first slash on
    + body: sent as JSON

    Raises SealiftError where nothing answers, or somebody else.
    """
    settings = host.settings
    url = f"{url_of(host.ssh.address(), settings.gateway.port)}{path}"
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the control node's has no way to the hosts
        session.mount("https://", NamedHost(host.name))
        try:
            return session.request(
                method,
                url,
                json=body,
                headers={"Authorization": f"Bearer {key.get_secret_value()}"},
                verify=str(settings.gateway.ca),
                timeout=(_CONNECT_S, _ANSWER_S),
                allow_redirects=False,  # a host has no say in whom this machine talks to
            )
        except requests.exceptions.SSLError as error:
            raise SealiftError(
                f"{host.name}: {url} shows a certificate that {settings.gateway.ca} does not vouch for "
                f"({_cause(error)}), expected one of the site's CA. Run sealift preflight."
            ) from None
        except (requests.RequestException, OSError) as error:
            raise SealiftError(
                f"{host.name}: {url} does not answer ({_cause(error)}), expected its gateway. "
                "Run sealift status; is this machine in the hosts' network?"
            ) from None


def _cause(error: BaseException) -> str:
    """The innermost reason: the outer ones repeat the URL."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error)[:200]
