"""What a host's NVIDIA driver and container toolkit say."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from sealift.facts.docker import DAEMON_JSON
from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.facts.text import TextFile

CDI_SPEC = "/etc/cdi/nvidia.yaml"
_MERGED = "merged:"
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

    @foreign
    def process(self, output: list[str]) -> str:
        """Join the lines to a text file, of a JSON object."""
        text = "\n".join(output) + "\n"
        json.loads(text).items()
        return text


@dataclass(frozen=True)
class Merged:
    """daemon.json as it stands, by digest and mode (None: there is none); and as the tool would leave it."""

    stands: tuple[str, str] | None
    merged: str


class StandingAndMerged(FactBase[Merged | None]):
    """daemon.json as it is, beside what MergedDaemonJson says. None where there is no nvidia-ctk."""

    def requires_command(self, base: str) -> str:  # noqa: ARG002 - the signature is pyinfra's
        """Without the toolkit there is nothing to ask."""
        return "nvidia-ctk"

    def command(self, base: str) -> str:
        """Ask both, the tool last.

        + base: what daemon.json holds without it, JSON
        """
        standing, merged = TextFile().command(DAEMON_JSON), MergedDaemonJson().command(base)
        return f"{standing}; echo {_MERGED}; {merged}"

    @foreign
    def process(self, output: list[str]) -> Merged | None:
        """Take both apart."""
        at = output.index(_MERGED)
        standing, merged = output[:at], output[at + 1 :]
        if not merged:
            return None
        stands = TextFile().process(standing) if standing else None
        return Merged(stands, MergedDaemonJson().process(merged))


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
