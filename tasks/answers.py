"""Which models answer on a host: what preflight reckoned, by the same function and the same facts."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from sealift.errors import SealiftError
from sealift.facts.preflight import Probe
from sealift.host.model_fit import choose
from sealift.host.preflight import parse_probe, room_of
from sealift.release.roles import Answers
from tasks.site import site


def answers() -> Answers:
    """The model that answers each role on the current task's host.

    Raises DeployError where the host does not say what it is.
    """
    here = site()
    try:
        said: list[str] = host.get_fact(Probe)
        facts = parse_probe(host.name, "\n".join(said))
    except SealiftError as error:
        raise DeployError(str(error)) from None
    return choose(here.lock, here.settings.ollama, room_of(facts, here.settings, here.groups)).answers
