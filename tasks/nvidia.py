"""GPUs for containers, by CDI. The toolkit is an OS package; Docker's part of it is in tasks/docker.py."""

from __future__ import annotations

from pathlib import Path

from pyinfra.api import deploy

from sealift.facts.nvidia import CDI_SPEC, STAND_IN
from sealift.host.gpus import GPU
from sealift.host.wanted import Wanted
from sealift.operations.nvidia import cdi_generated
from sealift.operations.text import text_absent, text_present

_FILES = Path(__file__).parent.parent / "files" / "nvidia"


@deploy("NVIDIA")
def offer_gpu(wanted: Wanted) -> None:
    """Offer the host's GPUs under the CDI name nvidia.com/gpu, or a stand-in where a lab has none.

    A host that is not, or no more, of the group gpu offers none.
    """
    if GPU not in wanted.groups:
        text_absent(name="Remove the stand-in for a GPU", path=STAND_IN)
        text_absent(name="Remove the CDI specification for the NVIDIA driver", path=CDI_SPEC)
    elif wanted.settings.gpu.stand_in:
        text_present(
            name="Offer a stand-in for a GPU, which is none",
            path=STAND_IN,
            content=(_FILES / "stand-in.cdi.yaml").read_text(),
        )
    else:
        text_absent(name="Remove the stand-in for a GPU", path=STAND_IN)
        cdi_generated(name="Generate the CDI specification for the NVIDIA driver")
