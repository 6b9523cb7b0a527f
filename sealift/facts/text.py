"""What a text file on a host is now."""

from __future__ import annotations

import shlex

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign


class TextFile(FactBase[tuple[str, str] | None]):
    """The SHA-256 of a file's content and its mode, such as ("ab12...", "644").

    None where there is no such file, or something else stands in its place.
    """

    def command(self, path: str) -> str:
        """The shell command.

        + path: absolute, on the host
        """
        quoted = shlex.quote(path)
        return f"if [ -f {quoted} ] && [ ! -L {quoted} ]; then sha256sum < {quoted}; stat -c %a {quoted}; fi"

    @foreign
    def process(self, output: list[str]) -> tuple[str, str]:
        """Read the two lines: digest and mode."""
        digest, mode = output
        return digest.split()[0], mode


class Links(FactBase[dict[str, str]]):
    """Symbolic links directly in a folder: name to target. Empty where there is no folder."""

    default = dict

    def command(self, folder: str) -> str:
        """The shell command.

        + folder: absolute, on the host
        """
        quoted = shlex.quote(folder)
        return f"if [ -d {quoted} ]; then find -H {quoted} -mindepth 1 -maxdepth 1 -printf '%f\\t%l\\n'; fi"

    @foreign
    def process(self, output: list[str]) -> dict[str, str]:
        """Read `NAME<tab>TARGET` lines; what is no link has an empty target."""
        return dict(line.split("\t", 1) for line in output)
