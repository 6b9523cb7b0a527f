"""Plain files on hosts: gone with the release that had them, and never in the way of what stands there."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.commands import Commands, Ran
from tests.lab.conftest import Site

LICENCE = "/usr/local/share/doc/ollama/LICENSE"
FOREIGN = "/usr/local/share/doc/ollama/NOTES"
DEPLOY = """
from sealift.operations.files import file_placed, only_files
from sealift.release.locked import Blob

{operation}
"""


def _run(commands: Commands, folder: Path, operation: str) -> Ran:
    """Run one operation on h2."""
    (folder / "deploy.py").write_text(DEPLOY.format(operation=operation))
    deploy = ("inventories/lab/lab.py", folder / "deploy.py", "--limit", "h2", "-y", "--json")
    return commands.run("pyinfra", *deploy)


def _changed(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.said
    return [found["name"] for found in json.loads(ran.out)["results"]["operations"] if found["success"]]


def test_a_file_goes_with_the_release_that_had_it(site: Site, commands: Commands, tmp_path: Path) -> None:
    commands.on("h2", f"echo mine > {FOREIGN}; echo /etc/hostname >> /var/lib/sealift/files")
    remove = 'only_files(name="Remove", targets=())'
    assert _changed(_run(commands, tmp_path, remove)) == ["Remove"]
    commands.on("h2", f"test ! -e {LICENCE} && test -s {FOREIGN} && test -s /etc/hostname")
    assert _changed(_run(commands, tmp_path, remove)) == []
    assert commands.changed_operations()["h2"] == [
        "Files | List the release's files",
        "Files | Place file ollama-licence",
    ]
    commands.on("h2", f"grep -q 'MIT License' {LICENCE} && rm {FOREIGN}")
    assert commands.changed_operations()["h2"] == []


def test_a_folder_in_a_files_place_is_left_alone(site: Site, commands: Commands, tmp_path: Path) -> None:
    commands.on("h2", "mkdir -p /opt/taken/inside")
    blob = "Blob(digest='sha256:' + '0' * 64, size=1)"
    place = f'file_placed(name="Place", target="/opt/taken", mode="0644", blob={blob})'
    ran = _run(commands, tmp_path, place)
    assert ran.code != 0
    assert "h2: /opt/taken is a folder, expected a file or nothing. Move it away." in ran.said
    assert "Traceback" not in ran.said
    commands.on("h2", "rmdir /opt/taken/inside /opt/taken")


def test_a_rotten_blob_never_gets_the_files_name(site: Site, commands: Commands, tmp_path: Path) -> None:
    rotten = "0" * 64
    commands.on("h2", f"echo rotten > /var/lib/sealift/blobs/sha256/{rotten}; echo good > /opt/tool")
    blob = f"Blob(digest='sha256:{rotten}', size=7)"
    place = f'file_placed(name="Place", target="/opt/tool", mode="0755", blob={blob})'
    ran = _run(commands, tmp_path, place)
    assert ran.code != 0 and "FAILED" in ran.said
    commands.on("h2", f"grep -qx good /opt/tool && rm /opt/tool* /var/lib/sealift/blobs/sha256/{rotten}")
