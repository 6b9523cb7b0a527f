"""The release's plain files, such as binaries and licence texts."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from sealift.host.wanted import Wanted
from sealift.operations.files import file_placed, files_listed


@deploy("Files")
def place_files(wanted: Wanted) -> None:
    """Place each file of the host's groups out of the host store."""
    targets = tuple(file.target for file, _ in wanted.files.values())
    files_listed(name="List the release's files", targets=targets)
    for name, (file, blob) in host.loop(sorted(wanted.files.items())):
        file_placed(name=f"Place file {name}", target=file.target, mode=file.mode, blob=blob)
