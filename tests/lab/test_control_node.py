"""The control node: from a bare Debian and media to an answered prompt, by what was carried alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.commands import START, Commands
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
    other = START.replace("/srv/sealift/allowed_signers", "/root/others")
    line = (site.lab / "id_ed25519.pub").read_text().strip()
    commands.on("control", f"echo 'release@lab {line}' > /root/others")
    refused = commands.try_on_control(other)
    assert refused.code != 0 and "START.py: OK" not in refused.said
    by_itself = commands.try_on_control(f"cd /media/sealift && {other.splitlines()[-1]}")
    assert by_itself.code == 1 and "signed by nobody in /root/others" in by_itself.said


def test_without_ssh_keygen_the_digest_of_the_table_takes_its_place(site: Site, commands: Commands) -> None:
    commands.on("control", "dpkg --purge --force-depends openssh-client; ! command -v ssh-keygen")
    start = f"cd /media/sealift && {START.splitlines()[-1]}"
    refused = commands.try_on_control(start)
    assert refused.code == 1 and "Add --table-digest" in refused.said
    wrong = commands.try_on_control(f"{start} --table-digest {'0' * 64}")
    assert wrong.code == 1 and "Refuse these media" in wrong.said
    said = site.steps["media"].said
    digest = said.partition("SHA-256 of TABLE.txt: ")[2].split()[0]
    done = commands.on_control(f"{start} --table-digest {digest}")
    assert "media       as --table-digest says" in done.out
    assert "packages    1 of" in done.out
    assert "signed by   release@lab" in done.out  # verified too, once ssh-keygen was there


def test_killed_in_the_middle_it_goes_on(site: Site, commands: Commands) -> None:
    commands.on("control", "rm -r /srv/sealift/deployments/*/.venv /srv/sealift/depot/releases/demo")
    start = START.splitlines()[-1].replace("START.py", "/media/sealift/START.py")
    killed = commands.try_on_control(f"timeout --signal=KILL 6 {start}")
    assert killed.code != 0
    done = commands.on_control(START)
    assert " wheels (" in done.out
    assert "demo:2026.11.0 imported" in done.out
    assert commands.on_control("sealift --help").code == 0
