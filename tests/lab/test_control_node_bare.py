"""A second control node, bare, without any network: refusals, kills, and the next release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sealift.install.start import Media
from tests.lab.commands import CHECKOUT, Commands, Ran
from tests.lab.conftest import Site, lab_of

TO = "/srv/sealift"
START = f"python3 -I /media/sealift/START.py --allowed-signers {TO}/site_signers --to {TO}"
# A network namespace of its own: not even the loopback interface is up in it.
WITHOUT_NETWORK = "unshare --net --"


@pytest.fixture(scope="module")
def bare(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """A lab whose control node has the site's media, cut small, and its list of signers."""
    for commands in lab_of(tmp_path_factory.mktemp("bare") / "lab", hosts=1, control=True):
        shutil.copy(site.allowed_signers, commands.lab / "control/site_signers")
        write_media(commands, site.bundle, site.release_key)
        yield commands


def write_media(commands: Commands, bundle: Path, key: Path) -> None:
    commands.ok(
        *("sealift", "media", "write", bundle, commands.lab / "media", "--size", "200M", "--key", key)
    )


def on_control(commands: Commands, script: str) -> Ran:
    return commands.run("ssh", "-F", commands.lab / "ssh_config", "control", script)


def refused(commands: Commands, script: str) -> str:
    ran = on_control(commands, script)
    assert ran.code == 1 and "Traceback" not in ran.said, ran.said
    return ran.said


@contextmanager
def damaged(media: Path, digest: str) -> Iterator[str]:
    """Flip a byte of a blob on the media for the time being; gives the name of the part that it lies in."""
    table = Media([media], (media / "TABLE.txt").read_bytes())
    part, offset, _ = next(table.slices(table.files[f"blobs/sha256/{digest}"]))
    flip(media / part.name, offset)
    try:
        yield part.name
    finally:
        flip(media / part.name, offset)


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def next_release(commands: Commands, site: Site, folder: Path) -> Path:
    """Lock and build another version, whose code has one file more; gives the bundle, on the node's disk."""
    project, release, lock = folder / "project", folder / "next.yaml", folder / "next.lock"
    bundle = commands.lab / "control/next"
    commands.ok("git", "clone", "--quiet", CHECKOUT, project)
    (project / "next.txt").write_text("the next\n")
    commands.ok("git", "-C", project, "add", "next.txt")
    text = (CHECKOUT / "releases/demo.yaml").read_text()
    release.write_text(text.replace("version: 2026.11.0", "version: 2026.12.0"))
    given = ("--sources", site.sources, "--project", project)
    commands.ok("sealift", "lock", release, *given, "--out", lock)
    commands.ok("sealift", "build", lock, *given, "--out", bundle, "--key", site.release_key)
    return bundle


def test_another_debian_is_refused_and_nothing_is_installed(bare: Commands) -> None:
    before = bare.on("control", "dpkg -l | sha256sum")
    wrong = "mount --bind /root/os-release /usr/lib/os-release"
    bare.on("control", "sed s/trixie/sid/ /usr/lib/os-release > /root/os-release")
    said = refused(bare, f"unshare --mount -- sh -c '{wrong} && {START}'")
    assert "this machine: is debian sid x86_64, expected debian trixie x86_64, for which demo:" in said
    assert bare.on("control", "dpkg -l | sha256sum") == before
    assert not (bare.lab / "control/deployment").exists()


def test_a_damaged_package_is_refused_before_anything_is_installed(bare: Commands, site: Site) -> None:
    bare.on("control", "dpkg --remove --force-depends adduser")  # all else a lab's control node has already
    before = bare.on("control", "dpkg -l | sha256sum")
    lock = json.loads(site.lock.read_text())
    deb = next(package for package in lock["packages"] if package["name"] == "adduser")
    digest = deb["blob"]["digest"].removeprefix("sha256:")
    with damaged(bare.lab / "media", digest) as part:
        said = refused(bare, START)
        assert f"is not what the table says, so {part} is damaged" in said
    assert bare.on("control", "dpkg -l | sha256sum") == before
    shutil.copy(site.bundle / "blobs/sha256" / digest, bare.lab / "control/adduser.deb")
    bare.on("control", f"dpkg --install {TO}/adduser.deb; rm {TO}/adduser.deb")


def test_a_damaged_wheel_is_refused_before_anything_is_in_force(bare: Commands, site: Site) -> None:
    wheel = json.loads(site.lock.read_text())["control"]["wheels"][-1]
    with damaged(bare.lab / "media", wheel["blob"]["digest"].removeprefix("sha256:")) as part:
        said = refused(bare, START)
        assert f"is not what the table says, so {part} is damaged" in said
    assert not (bare.lab / "control/deployment").exists()
    assert bare.on("control", "ls /usr/local/bin") == ""


def test_killed_at_many_moments_it_ends_without_any_network(bare: Commands) -> None:
    killed = 0
    other = bare.lab / "depot/incoming" / ("2" * 64)
    other.mkdir(parents=True)  # media of another release, half read
    for number, seconds in enumerate((0.5, 1, 2, 3, 4, 5, 9, 15)):
        whom = "--foreground" if number % 2 else ""  # with it, what START.py has started outlives it
        ran = on_control(bare, f"timeout {whom} --signal=KILL {seconds} {WITHOUT_NETWORK} {START}")
        # 255 is ssh's own: without --foreground, timeout kills itself too
        killed += ran.code in (137, 255)
        assert ran.code in (0, 137, 255), ran.said
    assert killed >= 4
    done = on_control(bare, f"{WITHOUT_NETWORK} sh -ec 'ip -brief link; {START}'")
    assert done.code == 0, done.said
    assert done.out.splitlines()[0].split()[:2] == ["lo", "DOWN"]
    assert done.out.splitlines()[-1].startswith("ready       /usr/local/bin/sealift, /srv/sealift/deployment")
    assert bare.on("control", f"dpkg --audit; ls {TO}/deployments; ls {TO}/depot").split() == [
        *[path.name for path in (bare.lab / "control/deployments").iterdir()],
        *("apt-key.pgp", "blobs", "bundles", "incoming", "releases"),
    ]
    assert not (bare.lab / "control/starting").exists()
    assert [path.name for path in other.parent.iterdir()] == [other.name]
    gc = f"sealift gc --depot {TO}/depot --no-inventory --apply"
    assert f"goes:  incoming/{other.name}, media that were" in bare.on("control", gc)
    assert list(other.parent.iterdir()) == []


def test_nothing_listens_there_that_did_not_before(bare: Commands) -> None:
    listening = bare.on("control", "ss -Hltun | awk '{print $5}'").split()
    assert {address.rpartition(":")[2] for address in listening} == {"22"}


def test_what_it_has_is_what_the_lock_says(bare: Commands, site: Site) -> None:
    lock = json.loads(site.lock.read_text())
    listed = bare.on("control", "dpkg-query -Wf '${Package} ${Version}\\n'").splitlines()
    installed = dict(line.split() for line in listed)
    for package in lock["packages"]:
        if "control" in package["groups"]:
            versions = f"{installed[package['name']]} ge {package['version']}"
            assert bare.on("control", f"dpkg --compare-versions {versions} && echo yes") == "yes\n"
    pip = f"{TO}/deployment/.venv/bin/python -m pip list --format json --exclude sealift"
    found = {(wheel["name"], wheel["version"]) for wheel in json.loads(bare.on("control", pip))}
    assert {(name.lower().replace("_", "-").replace(".", "-"), version) for name, version in found} == {
        (wheel["name"], wheel["version"]) for wheel in lock["control"]["wheels"]
    }


def test_the_same_release_out_of_the_depot_changes_nothing(bare: Commands) -> None:
    install = f"sealift install demo:2026.11.0 --depot {TO}/depot --to {TO} --json"
    done = json.loads(bare.on("control", install))
    assert (done["made"], done["activated"], done["packages"]) == (False, False, {"kept": [], "now": []})


def test_a_disk_that_is_too_small_is_refused_before_anything_is_installed(bare: Commands) -> None:
    install = f"sealift install demo:2026.11.0 --depot {TO}/depot --to /mnt"
    small = f"mount -t tmpfs -o size=90M tmpfs /mnt && {{ {install}; code=$?; find /mnt; exit $code; }}"
    said = refused(bare, f"unshare --mount -- sh -c '{small}'").split()
    assert "/mnt: has " in " ".join(said) and "bytes free, expected" in " ".join(said)
    assert [word for word in said if word.startswith("/mnt/")] == []


def test_the_next_release_comes_out_of_the_depot_and_the_one_before_comes_back(
    bare: Commands, site: Site, tmp_path: Path
) -> None:
    """Another release of other code, in the form in which it is carried: a bundle, imported."""
    before = bare.on("control", f"readlink {TO}/deployment")
    bundle = f"{TO}/{next_release(bare, site, tmp_path).name}"
    bare.on("control", f"sealift import {bundle} --depot {TO}/depot --allowed-signers {TO}/site_signers")
    install = f"{WITHOUT_NETWORK} sealift install demo:2026.12.0 --depot {TO}/depot --to {TO}"
    on_control(bare, f"timeout --signal=KILL 4 {install}")
    assert bare.on("control", f"readlink {TO}/deployment") == before
    assert "in force    now" in bare.on("control", install)
    assert bare.on("control", f"cat {TO}/deployment/next.txt") == "the next\n"
    assert "in force    no change" in bare.on("control", install)
    assert bare.on("control", "sealift --help").count("Usage")
    bare.on("control", "sealift init acme --host acme1=192.0.2.1 --release demo:2026.12.0")
    checking = f"cd {TO}/deployment && sealift check acme --json || [ $? = 1 ]"
    checked = json.loads(bare.on("control", checking))
    back = f"sealift install demo:2026.11.0 --depot {TO}/depot --to {TO}"
    old = "0123456789abcdef"  # as two releases ago it was
    bare.on("control", f"cp -a {TO}/deployments/$(basename {before.strip()}) {TO}/deployments/{old}")
    assert f"removed     {TO}/deployments/: {old}" in bare.on("control", back)
    assert bare.on("control", f"readlink {TO}/deployment") == before
    # The site is the site's: the release before never heard of it, and finds it all the same.
    assert json.loads(bare.on("control", checking)) == checked
    assert checked["hosts"] == 1
    assert len(bare.on("control", f"ls -A {TO}/deployments").split()) == 2
    assert "in force    now" in bare.on("control", install)  # the one before is still there
