"""Ollama, which answers on the inner network only."""

from __future__ import annotations

from pyinfra.api import deploy

from sealift.host.generation import OLLAMA
from sealift.host_paths import CURRENT
from sealift.operations.compose import Project, project_running
from tasks.generation import rendered_generation
from tasks.site import site


@deploy("Ollama")
def run_ollama() -> None:
    """Run Ollama as the current generation has it."""
    project_running(
        name="Run Ollama",
        project=Project(
            name=OLLAMA,
            file=f"{CURRENT}/ollama/compose.yaml",
            spec=rendered_generation().specs[OLLAMA],
            images={"ollama": site().lock.images["ollama"].image_id},
        ),
    )
