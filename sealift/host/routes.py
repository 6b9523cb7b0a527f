"""What the gateway lets through: the calls of Ollama that infer, and those that clients make before them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.version import Version

from sealift.release.catalogue import ollama_version

NAME = "{name}"  # in a path: a model's name
_NAME = "[A-Za-z0-9._:-]+"


@dataclass(frozen=True)
class Route:
    """A call that Ollama answers.

    + path: exact, or with `NAME` as its last part
    + since: the first version that has it
    + until: the first version that has it no more
    """

    method: str
    path: str
    since: str
    until: str | None = None

    @property
    def regex(self) -> str | None:
        """What its paths are; None where it is one path."""
        return re.escape(self.path.removesuffix(NAME)) + _NAME if self.path.endswith(NAME) else None

    @property
    def infers(self) -> bool:
        """Whether it keeps a model busy."""
        return self.method == "POST" and self.path != "/api/show"

    def is_of(self, version: Version) -> bool:
        """Whether a version of Ollama has it."""
        return Version(self.since) <= version and (self.until is None or version < Version(self.until))


# Left out: what changes models (pull, push, create, copy, delete, blobs), what is for the vendor's cloud
# (me, signout, user, status, experimental), and what is no JSON, which the guard cannot read
# (/v1/audio/transcriptions, since 0.20.0). Every POST needs rules in templates/gateway/guard/rules.lua.
# Source: `GenerateRoutes`, in early versions `Serve`, in `server/routes.go` of github.com/ollama/ollama, read
# at every tag from v0.0.1 to v0.32.15.
ROUTES = (
    Route("GET", "/", "0.0.1"),
    Route("HEAD", "/", "0.0.13"),
    Route("GET", "/api/version", "0.0.20"),
    Route("HEAD", "/api/version", "0.0.20"),
    Route("GET", "/api/tags", "0.0.6"),
    Route("HEAD", "/api/tags", "0.0.20"),
    Route("GET", "/api/ps", "0.1.38"),
    Route("POST", "/api/show", "0.0.18"),
    Route("POST", "/api/generate", "0.0.1"),
    Route("POST", "/api/chat", "0.1.14"),
    Route("POST", "/api/embed", "0.2.6"),
    Route("POST", "/api/embeddings", "0.0.14"),
    Route("GET", "/v1/models", "0.2.0"),
    Route("GET", f"/v1/models/{NAME}", "0.2.0"),
    Route("POST", "/v1/chat/completions", "0.1.24"),
    Route("POST", "/v1/completions", "0.2.0"),
    Route("POST", "/v1/embeddings", "0.2.6"),
    Route("POST", "/v1/responses", "0.13.3"),
    Route("POST", "/v1/messages", "0.14.0"),
    Route("POST", "/v1/images/generations", "0.14.3", until="0.32.6"),
    Route("POST", "/v1/images/edits", "0.15.0", until="0.32.6"),
)


def routes_of(image: str) -> tuple[Route, ...]:
    """The calls that a release's Ollama answers.

    All of them where its version is not known: what it lacks it answers with 404 itself.

    + image: the name of its image, with the version as tag: docker.io/ollama/ollama:0.11.4
    """
    version = ollama_version(image.rpartition(":")[2])
    return tuple(route for route in ROUTES if version is None or route.is_of(version))
