"""The generation: everything that is configuration on a host, placed whole and activated by one rename."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pyinfra import host
from pyinfra.api import deploy
from pyinfra.api.exceptions import DeployError

from sealift.errors import SealiftError
from sealift.files import read_limited
from sealift.host import generation
from sealift.host.generation import Generation
from sealift.operations.generation import generation_active, generation_present
from sealift.site.secrets import Secrets, open_secrets, read_private
from tasks.answers import answers
from tasks.site import Site, site

_TEMPLATES = Path(__file__).parent.parent / "templates"
_PEM_LIMIT = 1 << 20  # bytes


@deploy("Generation")
def render_generation() -> None:
    """Place the host's generation, then activate it; its services follow it in tasks of their own."""
    rendered = rendered_generation()
    generation_present(name="Place the generation", generation=rendered)
    generation_active(name="Activate the generation", generation=rendered)


def rendered_generation() -> Generation:
    """The generation of the current task's host, rendered once. Raises DeployError where it cannot be."""
    if host.name not in _RENDERED:
        try:
            _RENDERED[host.name] = _render(site())
        except SealiftError as error:
            raise DeployError(str(error)) from None
    return _RENDERED[host.name]


_RENDERED: dict[str, Generation] = {}


def _render(here: Site) -> Generation:
    gateway = here.settings.gateway
    return generation.render_generation(
        here.settings,
        here.lock,
        here.stored.digest,
        here.groups,
        answers(),
        _open_once(here.settings.secrets, here.settings.identity).api_keys,
        certificate=read_limited(gateway.certificate, _PEM_LIMIT),
        key=read_private(gateway.key, _PEM_LIMIT),
        templates=_TEMPLATES,
    )


@cache
def _open_once(secrets: Path, identity: Path) -> Secrets:
    """Open a site's secrets once, however many hosts it has."""
    return open_secrets(secrets, identity)
