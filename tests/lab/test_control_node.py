"""The control node: from a bare Debian and media to an answered prompt, by what was carried alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.lab.root import SUITE
from tests.lab import bare
from tests.lab.commands import ALLOWED_SIGNERS, START, START_BY_DIGEST, Commands
from tests.lab.conftest import Site


@pytest.fixture
def media(site: Site) -> Iterator[Path]:
    """The media, put right again after the test."""
    folder = site.lab / "media"
    before = {path.name: path.read_bytes() for path in folder.glob("[TS]*")}
    yield folder
    for name, content in before.items():
        (folder / name).write_bytes(content)


def test_it_started_from_media_alone(site: Site, commands: Commands) -> None:
    said = site.steps["start"].out
    assert "media       signed by release@lab" in said
    assert f"demo:2026.11.0, {site.bundle_digest}" in said
    assert "demo:2026.11.0 imported" in said
    # Nothing could have come from elsewhere: no route out, no apt source, no pip but the carried one.
    assert commands.on("control", "ip -4 route show default; ip -6 route show default") == ""
    assert commands.on("control", "find /etc/apt -name '*.sources' -o -name 'sources.list' -size +0") == ""
    assert commands.run("ssh", "-F", site.lab / "ssh_config", "control", "command -v pip3").code != 0
    mounted = commands.on("control", "findmnt --noheadings --output OPTIONS /media/sealift")
    assert mounted.split(",")[0] == "ro"


def test_a_prompt_asked_on_the_control_node_is_answered(site: Site, commands: Commands) -> None:
    question = "What is the capital of France? Answer in one sentence."
    ran = commands.on_control(
        f"cd /srv/sealift/deployment && sealift ask lab chat '{question}' --limit h1 --json"
    )
    assert "Paris" in json.loads(ran.out)["h1"]["text"]


def test_a_second_start_changes_nothing(site: Site, commands: Commands) -> None:
    before = commands.on("control", "ls -l /srv/sealift /srv/sealift/deployments")
    again = commands.on_control(START)
    for step in ("packages", "sealift", "depot"):
        assert f"{step:<11} no change" in again.out
    assert "deployment: no change" in again.out
    assert commands.on("control", "ls -l /srv/sealift /srv/sealift/deployments") == before


def test_a_tampered_start_is_not_run(site: Site, commands: Commands, media: Path) -> None:
    with (media / "START.py").open("ab") as file:
        file.write(b"open('/srv/sealift/was-run', 'w')\n")
    refused = commands.try_on_control(START)
    assert refused.code != 0 and "START.py: FAILED" in refused.said
    assert not (site.lab / "control/was-run").exists()


def test_a_tampered_table_stops_at_the_signature(site: Site, commands: Commands, media: Path) -> None:
    table = (media / "TABLE.txt").read_bytes()
    (media / "TABLE.txt").write_bytes(table.replace(b"file ", b"file  ", 1))
    refused = commands.try_on_control(START)
    assert refused.code != 0 and "START.py: OK" not in refused.said


def test_a_signer_that_the_site_does_not_know_is_refused(site: Site, commands: Commands) -> None:
    other = START.replace(ALLOWED_SIGNERS, "/root/others")
    line = (site.lab / "id_ed25519.pub").read_text().strip()
    commands.on("control", f"echo 'release@lab {line}' > /root/others")
    refused = commands.try_on_control(other)
    assert refused.code != 0 and "START.py: OK" not in refused.said
    by_itself = commands.try_on_control(f"cd /media/sealift && {other.splitlines()[-1]}")
    assert by_itself.code == 1 and "signed by nobody in /root/others" in by_itself.said


def test_without_ssh_keygen_the_digest_of_the_table_takes_its_place(
    site: Site, commands: Commands, tmp_path: Path
) -> None:
    digest = site.steps["media"].out.partition("SHA-256 of TABLE.txt: ")[2].split()[0]
    assert "table=DIGEST" in START_BY_DIGEST
    typed = START_BY_DIGEST.replace(ALLOWED_SIGNERS, "/root/allowed_signers")
    script = f"""
    dpkg --purge openssh-server openssh-sftp-server openssh-client >/dev/null
    ! command -v ssh-keygen
    ! {bare.START}
    ! {bare.START} --table-digest {"0" * 64}
    ! {{ {typed.replace("DIGEST", "0" * 64)} }}
    {typed.replace("DIGEST", digest)}
    """
    done = bare.in_bare_debian(commands, SUITE, tmp_path, site.lab / "media", script)
    assert "Add --table-digest" in done.said and "expected 000" in done.said
    assert "TABLE.txt: FAILED" in done.out and "TABLE.txt: OK\nSTART.py: OK" in done.out
    assert "media       as --table-digest says" in done.out
    assert "signed by   release@lab" in done.out  # once ssh-keygen had come off the media
    assert "demo:2026.11.0 imported" in done.out


def test_with_one_drive_the_sticks_are_read_one_after_the_other(
    site: Site, commands: Commands, tmp_path: Path
) -> None:
    """The first stick starts the machine, and what it says then is typed for the second."""
    sticks = tmp_path / "sticks"
    key = ("--key", site.release_key)
    commands.ok("sealift", "media", "write", site.bundle, sticks / "1", "--size", "300M", *key)
    (sticks / "2").mkdir()
    for path in sorted((sticks / "1").glob("TABLE*")):
        shutil.copy(path, sticks / "2")
    later = sorted((sticks / "1").glob("*.part"))[1:]
    for path in later:
        path.rename(sticks / "2" / path.name)
    start = bare.START.replace("START.py", "1/START.py")
    script = f"""
    ! {start} >/root/said 2>&1
    cat /root/said
    told=$(grep 'media read MEDIUM' /root/said)
    $(echo "$told" | sed 's#MEDIUM#/media/sealift/2#; s#FILE#/root/allowed_signers#')
    {start}
    """
    done = bare.in_bare_debian(commands, SUITE, tmp_path, sticks, script)
    names = ", ".join(path.stem for path in later)
    assert f"has not all parts yet, missing: {names}. Name the media that hold them too" in done.said
    assert "demo:2026.11.0 imported" in done.out
