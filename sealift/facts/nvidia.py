"""What a host's NVIDIA driver and container toolkit say."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra.api import FactBase

from sealift.facts.docker import DAEMON_JSON
from sealift.facts.foreign import foreign

CDI_SPEC = "/etc/cdi/nvidia.yaml"
STAND_IN = "/etc/cdi/sealift-stand-in.yaml"  # of a device that is no GPU


class MergedDaemonJson(FactBase[str | None]):
    """daemon.json as `nvidia-ctk runtime configure` would leave it. None where there is no nvidia-ctk."""

    def requires_command(self, base: str) -> str:  # noqa: ARG002 - the signature is pyinfra's
        """Without the toolkit there is nothing to ask."""
        return "nvidia-ctk"

    def command(self, base: str) -> str:
        """Let the toolkit merge into a copy, dry.

        + base: what daemon.json holds without it, JSON
        """
        return (
            "set -e; copy=$(mktemp); trap 'rm -f \"$copy\"' EXIT; "
            f'printf %s {shlex.quote(base)} > "$copy"; '
            'nvidia-ctk --quiet runtime configure --runtime=docker --cdi.enabled --dry-run --config="$copy"'
        )

    def process(self, output: list[str]) -> str:
        """Join the lines to a text file."""
        return "\n".join(output) + "\n"


class MergedDaemonJsonStands(MergedDaemonJson):
    """Whether daemon.json is that: `same` or `differs`. None where there is no nvidia-ctk."""

    def command(self, base: str) -> str:
        """Compare it on the host.

        + base: what daemon.json holds without it, JSON
        """
        return (
            f"merged=$({super().command(base)}) && if printf '%s\\n' \"$merged\" | cmp -s - {DAEMON_JSON};"
            " then echo same; else echo differs; fi"
        )

    def process(self, output: list[str]) -> str:
        """Take the word."""
        return "".join(output)


@dataclass(frozen=True)
class CdiState:
    """The version of the NVIDIA driver that is loaded, and whether the CDI specification is made for it."""

    driver: str | None = None
    spec_is_current: bool = False


class NvidiaCdi(FactBase[CdiState]):
    """The loaded NVIDIA driver, and whether the CDI specification names its libraries."""

    default = CdiState

    def command(self) -> str:
        """Read the kernel's version and look for a library of that version in the specification."""
        return (
            "if [ -r /sys/module/nvidia/version ]; then version=$(cat /sys/module/nvidia/version); "
            'echo "driver $version"; '
            f'if [ -f {CDI_SPEC} ] && grep -qF "libcuda.so.$version" {CDI_SPEC}; then echo current; fi; fi'
        )

    @foreign
    def process(self, output: list[str]) -> CdiState:
        """Read `driver VERSION` and, where it holds, `current`."""
        return CdiState(driver=output[0].removeprefix("driver "), spec_is_current="current" in output[1:])
