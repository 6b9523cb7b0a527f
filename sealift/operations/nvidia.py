"""The CDI specification that offers a host's NVIDIA GPUs to containers."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.exceptions import OperationError

from sealift.facts.nvidia import CDI_SPEC, NvidiaCdi


@operation()
def cdi_generated() -> Generator[str, None, None]:
    """Have a CDI specification for the loaded NVIDIA driver: it goes stale when the driver changes."""
    cdi = host.get_fact(NvidiaCdi)
    if cdi.driver is None:
        raise OperationError(
            f"{host.name}: no NVIDIA driver is loaded, expected one on a host of the group gpu. Install the"
            " driver, or take the host out of the group."
        )
    if not cdi.spec_is_current:
        yield f"mkdir -p /etc/cdi && nvidia-ctk cdi generate --output={CDI_SPEC}"
