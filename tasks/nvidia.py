"""GPUs for containers, by CDI. The toolkit is an OS package; Docker's part of it is in tasks/docker.py."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.nvidia import cdi_generated
from sealift.operations.text import text_absent, text_present

_FILES = Path(__file__).parent.parent / "files" / "nvidia"
STAND_IN = "/etc/cdi/sealift-stand-in.yaml"


@deploy("NVIDIA")
def offer_gpu(wanted: Wanted) -> None:
    """Offer the host's GPUs under the CDI name nvidia.com/gpu, or a stand-in where a lab has none."""
    if wanted.settings.gpu.stand_in:
        text_present(
            name="Offer a stand-in for a GPU, which is none",
            path=STAND_IN,
            content=(_FILES / "stand-in.cdi.yaml").read_text(),
        )
    else:
        text_absent(name="Remove the stand-in for a GPU", path=STAND_IN)
        cdi_generated(name="Generate the CDI specification for the NVIDIA driver")
