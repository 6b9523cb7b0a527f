"""Plain files that the release places on hosts."""

from __future__ import annotations

from testinfra.host import Host

from sealift.evidence.expectations import Expectations
from sealift.host_paths import OWNERS
from tests.hosts.commands import output
from tests.hosts.properties import RecordProperty

STORE = "/var/lib/sealift"
LISTED = f"{STORE}/files"


def test_file_has_its_digest(host: Host, file: str, expected: Expectations) -> None:
    """The file has, read from the host's disk, the SHA-256 that the lock pins."""
    wanted = expected.files[file]
    assert output(host, "sha256sum %s", wanted.target).split()[0] == wanted.sha256


def test_file_is_roots_alone_to_write(host: Host, file: str, expected: Expectations) -> None:
    """The file is a plain one of root's, with the permissions that the release gives it."""
    wanted = expected.files[file]
    found = output(host, "stat -c '%%F %%U:%%G %%a' %s", wanted.target)
    assert found == f"regular file root:root {wanted.mode.lstrip('0')}"


def test_no_package_owns_the_file(host: Host, file: str, expected: Expectations) -> None:
    """No package of the host has a file in this one's place."""
    owner = host.run("dpkg-query -S %s", expected.files[file].target)
    assert owner.rc == 1 and "no path found" in owner.stderr, owner.stdout


def test_no_file_of_another_release_is_left(host: Host, expected: Expectations) -> None:
    """The host lists the files of its release, and no others."""
    listed = output(host, f"if [ -f {LISTED} ]; then cat {LISTED}; fi").splitlines()
    assert listed == sorted(file.target for file in expected.files.values())


def test_nobody_but_root_can_change_the_host_store(host: Host, record_property: RecordProperty) -> None:
    """Nothing in the host store, the folder of figures aside, is anybody's but root's to write."""
    figures = " ".join(f"-path {path} -uid {owner} ! -perm /022 -prune -o" for path, owner in OWNERS.items())
    seen = f"find -H {STORE} {figures} ! -type l"
    others = "\\( -perm /022 -o ! -user 0 \\) -printf '%%m %%U:%%G %%p\\n'"
    open_to_others = output(host, f"{seen} {others}").splitlines()
    record_property("looked at", f"{output(host, f'{seen} -printf x | wc -c')} files and folders")
    assert not open_to_others, f"{len(open_to_others)}: run sealift apply, which mends {open_to_others[0]}"
