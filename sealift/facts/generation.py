"""What stands in a generation's folder."""

from __future__ import annotations

from pyinfra.api import FactBase

from sealift.facts.foreign import foreign
from sealift.host_paths import GENERATIONS


class GenerationFiles(FactBase[dict[str, tuple[str, str]]]):
    """Everything in a generation's folder: path to mode, such as "600", and SHA-256.

    The folder itself is "."; what is no regular file has in place of a digest its type as `find` has it, such
    as "d". Empty where there is no such generation.
    """

    default = dict

    def command(self, generation: str) -> str:
        """The shell command.

        + generation: its id
        """
        return (
            f"if cd {GENERATIONS}/{generation} 2>/dev/null; then"
            " find . -printf 'entry\\t%P\\t%m\\t%y\\n' && find . -type f -exec sha256sum {} +; fi"
        )

    @foreign
    def process(self, output: list[str]) -> dict[str, tuple[str, str]]:
        """Read the lines of `find`, then those of `sha256sum`, which start with the digest."""
        found = {}
        for line in output:
            if line.startswith("entry\t"):
                _, path, mode, kind = line.split("\t")
                found[path or "."] = (mode, kind)
            else:
                digest, _, path = line.partition("  ./")
                found[path] = (found[path][0], digest)
        return found
