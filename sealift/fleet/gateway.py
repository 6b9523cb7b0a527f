"""A host's gateway, asked over TLS as an application would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
from pydantic import SecretStr

from sealift.errors import SealiftError
from sealift.fleet.named_host import NamedHost, url_of
from sealift.site.inventory import Host

CONNECT_S, ANSWER_S = 10, 300  # the first answer waits for the model to be loaded


def send(
    host: Host, key: SecretStr, method: str, path: str, body: Mapping[str, object] | None = None
) -> requests.Response:
    """Send one request to a host's gateway, with TLS checked against the site's CA.

    + key: a client's
    + path: from the first slash on
    + body: sent as JSON

    Raises SealiftError where nothing answers, or somebody else.
    """
    url = f"{address_of(host)}{path}"
    with session_for(host, key) as session, named_errors(host, url):
        return session.request(
            method,
            url,
            json=body,
            timeout=(CONNECT_S, ANSWER_S),
            allow_redirects=False,  # a host has no say in whom this machine talks to
        )


def address_of(host: Host) -> str:
    """The beginning of its gateway's URLs."""
    return url_of(host.ssh.address(), host.settings.gateway.port)


def session_for(host: Host, key: SecretStr, connections: int = 1) -> requests.Session:
    """What asks a host's gateway as a client, with TLS checked against the site's CA.

    + key: the client's
    + connections: kept open at once
    """
    session = requests.Session()
    session.trust_env = False  # a proxy of the control node's has no way to the hosts
    session.mount("https://", NamedHost(host.name, connections))
    session.headers["Authorization"] = f"Bearer {key.get_secret_value()}"
    session.verify = str(host.settings.gateway.ca)
    return session


@contextmanager
def named_errors(host: Host, url: str) -> Iterator[None]:
    """Say of what fails on the way to a host what is to be done about it. Raises SealiftError."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise SealiftError(
            f"{host.name}: {url} shows a certificate that {host.settings.gateway.ca} does not vouch for "
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
