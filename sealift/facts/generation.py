"""What stands in a generation's folder."""

from __future__ import annotations

from pathlib import PurePosixPath

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host.generation import Generation
from sealift.host.record import ETC
from sealift.host.wanted import Wanted
from sealift.host_paths import CURRENT, GENERATIONS, STOOD

LIVE_FOLDER = "../live"  # as GenerationFiles finds it


class GenerationFiles(FactBase[dict[str, tuple[str, str]]]):
    """Everything in a generation's folder but what stood in /etc: path to mode, such as "600", and SHA-256.

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
            " find . -path ./stood -prune -o -printf 'entry\\t%P\\t%m\\t%y\\n'"
            " && find . -path ./stood -prune -o -type f -exec sha256sum {} +; fi"
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


class NotKept(FactBase[list[str]]):
    """Files of ETC that the current generation has no copy of, as they stand, or one too many."""

    default = list

    def command(self) -> str:
        """Compare them."""
        return (
            f"if [ -e {CURRENT} ]; then for path in {' '.join(ETC)}; do"
            f' kept={STOOD}$path; if [ -f "$path" ] || [ -e "$kept" ]; then'
            ' cmp -s "$path" "$kept" || echo "$path"; fi; done; fi'
        )

    @foreign
    def process(self, output: list[str]) -> list[str]:
        """Leave the lines as they are."""
        return output


def expected_files(generation: Generation) -> dict[str, tuple[str, str]]:
    """What GenerationFiles finds where a generation is whole."""
    files = {path: (f"{file.mode:o}", file.sha256) for path, file in generation.files.items()}
    return {**dict.fromkeys((".", *folders(generation)), ("700", "d")), **files}


def folders(generation: Generation) -> list[str]:
    """Those that its files lie in."""
    parents = {str(parent) for path in generation.files for parent in PurePosixPath(path).parents}
    return sorted(parents - {"."})


def expected_live(wanted: Wanted) -> dict[str, tuple[str, str]]:
    """What GenerationFiles finds in the folder of live files."""
    files = {
        f"{service.name}/{name}": (f"{file.mode:o}", file.sha256)
        for service in wanted.services
        for name, file in wanted.generation.live(service).items()
    }
    folders = {path.partition("/")[0] for path in files}
    return {**dict.fromkeys((".", *sorted(folders)), ("700", "d")), **files} if files else {}
