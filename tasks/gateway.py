"""The gateway, the only way to Ollama."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.host.generation import GATEWAY, MOUNTED
from sealift.host_paths import CURRENT
from sealift.operations.compose import Project, project_running
from tasks.generation import rendered_generation
from tasks.site import site


@deploy("Gateway")
def run_gateway() -> None:
    """Run Envoy as the current generation has it."""
    rendered = rendered_generation()
    project_running(
        name="Run the gateway",
        project=Project(
            name=GATEWAY,
            file=f"{CURRENT}/gateway/compose.yaml",
            spec=rendered.specs[GATEWAY],
            images={"gateway": site().lock.images["gateway"].image_id},
            mounted={f"/etc/envoy/{name}": rendered.files[f"gateway/{name}"].sha256 for name in MOUNTED},
        ),
    )
