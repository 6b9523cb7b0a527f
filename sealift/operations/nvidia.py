"""The CDI specification that offers a host's NVIDIA GPUs to containers."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import FunctionCommand, operation

from sealift.facts.nvidia import CDI_SPEC, NvidiaCdi
from sealift.operations.refusal import refusal


@operation()
def cdi_generated() -> Generator[str | FunctionCommand, None, None]:
    """Have a CDI specification for the loaded NVIDIA driver: it goes stale when the driver changes."""
    cdi = host.get_fact(NvidiaCdi)
    if cdi.driver is None:
        yield refusal(
            "no NVIDIA driver is loaded, expected one on a host of the group gpu. Install the driver, or take"
            " the host out of the group."
        )
    elif not cdi.spec_is_current:
        yield f"umask 022 && mkdir -p /etc/cdi && nvidia-ctk cdi generate --output={CDI_SPEC}"
