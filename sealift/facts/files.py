"""What stands where a release's plain files go."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host_paths import FILES


@dataclass(frozen=True)
class Standing:
    """What stands at a path.

    + kind: as `find` has it, such as f or d
    + owner: UID:GID
    + mode: octal, such as 755
    + sha256: of a regular file, else empty
    """

    kind: str
    owner: str
    mode: str
    sha256: str


class PlainFile(FactBase[Standing | None]):
    """What stands at a path; None where nothing does. A link is looked at itself."""

    def command(self, path: str) -> str:
        """The shell command.

        + path: absolute, on the host
        """
        quoted = shlex.quote(path)
        return (
            f"if [ -e {quoted} ] || [ -L {quoted} ]; then "
            f"find {quoted} -maxdepth 0 -printf '%y\\t%U:%G\\t%m\\n'; "
            f"if [ -f {quoted} ] && [ ! -L {quoted} ]; then sha256sum < {quoted}; fi; fi"
        )

    @foreign
    def process(self, output: list[str]) -> Standing:
        """Read the line of `find`, and that of `sha256sum` where there is one."""
        kind, owner, mode = output[0].split("\t")
        return Standing(kind, owner, mode, output[1].split()[0] if kind == "f" else "")


class FileList(FactBase[list[str]]):
    """Where this and former releases placed plain files. Empty where none did."""

    default = list

    def command(self) -> str:
        """The shell command."""
        return f"if [ -f {FILES} ]; then cat {FILES}; fi"

    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are; whoever acts upon them looks at what they are."""
        return output
