"""A control node that has other versions of the release's packages, holds them, or has a dpkg that is busy.

In a bare Debian of its own for each, with packages made here; nothing of a lab or a site is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.cache import cache_folder
from sealift.lab.root import CONTROL_PACKAGES, SUITE, ensure_root
from sealift.progress import silent
from tests.lab.commands import CHECKOUT

_ENTER = """\
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mkdir "$2/root/code" "$2/root/debs"
mount --bind -o ro "$3" "$2/root/code"
mount --bind -o ro "$4" "$2/root/debs"
mount -t proc proc "$2/root/proc"
mount --bind /dev "$2/root/dev"
exec chroot "$2/root" sh -ec "$5"
"""
# `release a=2 b=1` installs these as a release's packages; it says which it installed, and which stay older.
_RELEASE = """\
release() { python3 -I - "$@" <<'END'
import json, shutil, sys
from pathlib import Path
sys.path.insert(0, "/code")
from sealift.install.start import Item
from sealift.errors import SealiftError
from sealift.install import packages
packages._LOCK_WAIT_S = 3
wanted = [word.split("=") for word in sys.argv[1:]]
wanted = [packages.Package(name, version, Item(f"{name}.deb", version, 0)) for name, version in wanted]
def copy(item, target):
    shutil.copy(f"/debs/{item.name.removesuffix('.deb')}_{item.hex}.deb", target)
try:
    done = packages.install_packages(wanted, copy, Path("/srv/scratch"))
    print(json.dumps({"now": done.now, "kept": done.kept}))
except SealiftError as error:
    sys.exit(f"REFUSED {error}")
END
}
have() { dpkg -i $(printf '/debs/%s.deb ' "$@") >/dev/null; }
here() {
    echo $(dpkg-query --show --showformat='${Package}=${Version} ' a b c d f 2>/dev/null)
    dpkg --audit
}
"""
_FAILS_WHILE = "#!/bin/sh\n! [ -e /tmp/fail ]\n"


@pytest.fixture(scope="module")
def root() -> Path:
    return ensure_root(cache_folder(os.environ) / "roots", SUITE, CONTROL_PACKAGES, silent)


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of version 2, b needs a of 2; c of 1 needs a of 1; f does not always install; g has a configuration."""
    folder = tmp_path_factory.mktemp("debs")
    for version in ("1", "2", "3"):
        _deb(folder, "a", version)
        _deb(folder, "b", version, f"a (>= {version})")
        _deb(folder, "c", version, f"a (= {version})")
        _deb(folder, "d", version)
        _deb(folder, "f", version, script=_FAILS_WHILE)
        _deb(folder, "g", version, conffile=f"of version {version}\n")
    return folder


def _deb(
    folder: Path, name: str, version: str, needs: str = "", script: str = "", conffile: str = ""
) -> None:
    tree = folder / "tree" / f"{name}_{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    lines = [
        f"Package: {name}",
        f"Version: {version}",
        "Architecture: all",
        "Maintainer: nobody <nobody@lab>",
    ]
    lines += [f"Depends: {needs}"] if needs else []
    (tree / "DEBIAN/control").write_text("\n".join((*lines, "Description: of a test", "")))
    if script:
        (tree / "DEBIAN/postinst").write_text(script)
        (tree / "DEBIAN/postinst").chmod(0o755)
    if conffile:
        (tree / "etc").mkdir()
        (tree / f"etc/{name}.conf").write_text(conffile)
        (tree / "DEBIAN/conffiles").write_text(f"/etc/{name}.conf\n")
    deb = folder / f"{name}_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)


@pytest.fixture
def bare(root: Path, debs: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    """Runs a script in a fresh root, which must end well; gives the lines that it said."""

    def run(script: str) -> list[str]:
        for name in ("upper", "work", "root"):
            (tmp_path / name).mkdir()
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private", "sh", "-ec"]
        given = [str(path) for path in (root, tmp_path, CHECKOUT, debs)]
        ran = subprocess.run(
            [*command, _ENTER, "bare", *given, f"{_RELEASE}\n{script}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout
        assert "Traceback" not in ran.stdout, ran.stdout
        return ran.stdout.splitlines()

    return run


def _did(now: str, kept: str = "") -> str:
    return json.dumps({"now": now.split(), "kept": kept.split()})


Bare = Callable[[str], list[str]]


def test_older_ones_are_brought_up_to_the_release_and_newer_ones_stay(bare: Bare) -> None:
    said = bare("have a_1 d_3; release a=2 b=2 d=2; here; release a=2 b=2 d=2")
    assert said == [_did("b a"), "a=2 b=2 d=3", _did("")]


def test_one_that_others_need_older_stays_and_the_rest_is_updated(bare: Bare) -> None:
    said = bare("have a_1 c_1 d_1; release a=2 d=2 f=1; here; release a=2 d=2")
    assert said == [_did("f d", "a"), "a=1 c=1 d=2 f=1", _did("", "a")]


def test_one_on_hold_stays_and_the_rest_is_updated(bare: Bare) -> None:
    said = bare("have a_1 d_1; apt-mark hold a; release a=2 d=2; here; release a=2 d=2; apt-mark showhold")
    assert said == ["a set on hold.", _did("d", "a"), "a=1 d=2", _did("", "a"), "a"]


def test_what_needs_one_on_hold_is_refused_with_what_to_do(bare: Bare) -> None:
    said = bare("have a_1; apt-mark hold a; ! release a=2 b=2; here; apt-mark unhold a; release a=2 b=2")
    assert said[1] == "REFUSED apt-get: exited 100, expected it to install packages:"
    assert any("b : Depends: a (>= 2)" in line for line in said)
    assert any(line.startswith("These are on hold here") and "apt-mark unhold a. " in line for line in said)
    assert said[-3:] == ["a=1", "Canceled hold on a.", _did("b a")]


def test_what_needs_one_that_cannot_be_updated_is_refused_and_nothing_is_changed(bare: Bare) -> None:
    said = bare("have a_1 c_1; ! release a=2 b=2; here")
    assert said[0] == "REFUSED apt-get: exited 100, expected it to install packages:"
    assert any("b : Depends: a (>= 2)" in line for line in said)
    assert said[-2].startswith("Mend what it names, or have that package added to control.packages")
    assert said[-1] == "a=1 c=1"


def test_another_dpkg_is_waited_for_and_one_that_does_not_end_is_named(bare: Bare) -> None:
    hold = """python3 -c '
import fcntl, sys, time
file = open("/var/lib/dpkg/" + sys.argv[1], "a")
fcntl.lockf(file, fcntl.LOCK_EX)
open("/tmp/held", "w")
time.sleep(float(sys.argv[2]))'"""
    said = bare(f"""
    mkdir /srv/scratch
    touch /srv/scratch/read-by-it
    for lock in lock lock-frontend; do
        {hold} $lock 60 & holder=$!
        until [ -e /tmp/held ]; do sleep 0.1; done
        ! release a=1
        kill $holder; echo $holder; rm /tmp/held
    done
    ls /srv/scratch/read-by-it
    here
    {hold} lock-frontend 1.5 &
    until [ -e /tmp/held ]; do sleep 0.1; done
    release a=1
    """)
    for told, holder, lock in ((said[0], said[1], "lock"), (said[2], said[3], "lock-frontend")):
        assert told == (
            f"REFUSED /var/lib/dpkg/{lock}: is held by process {holder} (python3) for more than 3 s, "
            "expected no other apt or dpkg. Let that end, and run the command again."
        )
    assert said[4:] == ["/srv/scratch/read-by-it", "", _did("a")]


def test_what_an_interrupted_dpkg_began_is_ended(bare: Bare) -> None:
    """Unpacked, as a power cut leaves it; older, as new as the release, and newer."""
    said = bare("""
    dpkg --unpack /debs/a_1.deb /debs/d_2.deb /debs/f_3.deb >/dev/null
    release a=2 d=2 f=2
    here
    """)
    assert said == [_did("a"), "a=2 d=2 f=3"]


def test_a_question_about_a_configuration_that_a_killed_run_left_is_answered_no(bare: Bare) -> None:
    said = bare("""
    have g_1
    echo of the site > /etc/g.conf
    dpkg --unpack /debs/g_2.deb >/dev/null
    release a=1 g=2
    cat /etc/g.conf
    here
    """)
    assert said == [_did("a"), "of the site", "a=1"]


def test_a_package_that_is_half_unpacked_is_installed_again(bare: Bare) -> None:
    """Killed in the middle of unpacking, dpkg wants it installed anew before anything else."""
    said = bare("""
    have a_1 d_1
    sed -i '/^Package: a$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status
    release a=1 d=2
    here
    """)
    assert said == [_did("a d"), "a=1 d=2"]


def test_a_package_that_does_not_install_is_named_and_the_rest_comes_once_it_does(bare: Bare) -> None:
    said = bare("""
    touch /tmp/fail
    dpkg -i /debs/f_1.deb >/dev/null 2>&1 || :
    ! release a=1 b=1
    rm /tmp/fail
    release a=1 b=1
    here
    """)
    assert said[0].startswith("REFUSED dpkg --configure -a: exited 1, expected it to end what an earlier")
    assert any("dpkg: error processing package f (--configure):" in line for line in said)
    assert "Mend the package that it names, or remove it (dpkg --purge), and run the command again." in said
    assert said[-2:] == [_did("a b"), "a=1 b=1 f=1"]
