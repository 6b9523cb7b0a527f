"""A client of a host's gateway, as an application in the closed network would be."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Any

import requests

from sealift.evidence.expectations import Expectations
from sealift.fleet.named_host import NamedHost, url_of

CONNECT_S = 5
ANSWER_S = 240  # a cold model on a slow processor


class Gateway:
    """Requests with the site's CA; with the key of the expectations, another one, or none.

    + port: of the gateway, or of the front door
    """

    def __init__(self, expected: Expectations, port: int) -> None:
        self.name, self.address, self.port = expected.host, expected.address, port
        self.url = url_of(self.address, self.port)
        self._ca = str(expected.gateway.ca)
        self._key = expected.api_key.get_secret_value()
        self._acceptance_key = expected.acceptance_key

    @property
    def right_key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    @property
    def right_key_in_its_own_header(self) -> dict[str, str]:
        return {"x-api-key": self._key}

    @property
    def acceptance_key(self) -> dict[str, str]:
        """The key of a client whose limit may be used up."""
        assert self._acceptance_key is not None
        return {"Authorization": f"Bearer {self._acceptance_key.get_secret_value()}"}

    @property
    def wrong_key(self) -> dict[str, str]:
        last = "a" if self._key[-1] != "a" else "b"
        return {"Authorization": f"Bearer {self._key[:-1]}{last}"}

    def send(
        self, method: str, path: str, headers: dict[str, str], *, body: Any = None, stream: bool = False
    ) -> requests.Response:
        """One request on a connection of its own, without this machine's proxies and CAs."""
        with requests.Session() as session:
            session.trust_env = False
            session.mount("https://", NamedHost(self.name))
            return session.request(
                method,
                self.url + path,
                json=body,
                headers=headers,
                verify=self._ca,
                stream=stream,
                timeout=(CONNECT_S, ANSWER_S),
            )

    def load(self, expected: Expectations, role: str, **more: Any) -> requests.Response:
        """Have the role's model loaded, by a request without a question where it answers in words.

        + more: of the body
        """
        path, asked = ("/api/embed", {"input": "x"}) if expected.roles[role].embeds else ("/api/generate", {})
        return self.send("POST", path, self.right_key, body={"model": role, **asked, **more})

    def loaded(self, expected: Expectations, role: str) -> dict[str, Any]:
        """What Ollama says of the role's model, which is loaded: its name is that of the first request."""
        model = expected.roles[role].model
        names = {f"{name}:latest" for name, its in expected.roles.items() if its.model == model} | {model}
        listed = self.send("GET", "/api/ps", self.right_key).json()["models"]
        (found,) = (each for each in listed if each["name"] in names)
        return dict(found)

    def connect(self, name: str | None = None) -> ssl.SSLSocket:
        """A TLS connection, verified.

        + name: that the certificate must be for; the host's where none is given
        """
        plain = socket.create_connection((self.address, self.port), CONNECT_S)
        context = ssl.create_default_context(cafile=self._ca)
        return context.wrap_socket(plain, server_hostname=name or self.name)

    def status_of(self, method: str, path: str, headers: dict[str, str]) -> int:
        """The status of a request whose path is sent exactly as it is written."""
        with self.connect() as connected:
            connection = http.client.HTTPConnection(self.name, self.port)
            connection.sock = connected
            connection.request(method, path, body="{}" if method == "POST" else None, headers=headers)
            return connection.getresponse().status


def refusal(answer: requests.Response) -> str:
    """What the gateway itself says: JSON in the form of the API that was asked, with the request's id."""
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    message = error["message"] if "/v1/" in answer.url else error
    assert isinstance(message, str)
    assert message.endswith(f"Request {answer.headers['x-request-id']}.")
    return message
