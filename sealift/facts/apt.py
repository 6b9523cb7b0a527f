"""What dpkg says about a host's packages."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from sealift.facts.fact import FactBase
from sealift.facts.foreign import foreign
from sealift.host_paths import PACKAGES

# deb-triggers(5), dpkg-query(1): the second letter of an abbreviated status is the package's state.
# n: not installed, c: only its configuration is left, i: installed.
_SETTLED = frozenset("nci")


_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian policy 5.6.7


@dataclass(frozen=True)
class DpkgState:
    """Installed packages by name, to version, and whether dpkg was stopped in the middle of its work."""

    versions: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


class BroughtPackages(FactBase[list[str]]):
    """Packages that releases have brought: the host had them not before. Empty where none did."""

    default = list

    def command(self) -> str:
        """The shell command."""
        return f"if [ -f {PACKAGES} ]; then cat {PACKAGES}; fi"

    @foreign
    def process(self, output: list[str]) -> list[str]:
        """Leave out what is no package's name."""
        return sorted({line for line in output if _NAME.fullmatch(line)})


class InstalledPackages(FactBase[DpkgState]):
    """The packages that are wholly installed, and whether dpkg was interrupted."""

    default = DpkgState

    def command(self) -> str:
        """List dpkg's database; the journal in `updates` is left behind only by a dpkg that was killed."""
        return (
            "dpkg-query --show --showformat='${db:Status-Abbrev}\t${Package}\t${Version}\n'; "
            "find /var/lib/dpkg/updates -type f -name '[0-9]*' -printf 'journal\n'"
        )

    @foreign
    def process(self, output: list[str]) -> DpkgState:
        """Read `STATUS<tab>PACKAGE<tab>VERSION` lines, then one line for each file of the journal."""
        rows = [line.split("\t") for line in output if line != "journal"]
        versions = {package: version for status, package, version in rows if status.rstrip() in ("ii", "hi")}
        unsettled = any(status[1] not in _SETTLED or status[2:].strip() for status, _, _ in rows)
        return DpkgState(versions, interrupted=unsettled or "journal" in output)


# Of dpkg, of apt's lists and of what apt has fetched: who installs packages takes one after another.
LOCKS = (
    *("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"),
    *("/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock"),
)
# perl-base is in every Debian. struct flock: type, whence, start, length, process. Source: fcntl_locking(2).
_HOLDERS = r"""use Fcntl;
for my $path (@ARGV) {
    open(my $file, "<", $path) or next;
    my $asked = pack("s! s! x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
    fcntl($file, F_GETLK, $asked) or next;
    my ($type, undef, undef, undef, $process) = unpack("s! s! x4 q q i x4", $asked);
    next if $type == F_UNLCK;
    my $name = "";
    if (open(my $comm, "<", "/proc/$process/comm")) { $name = <$comm>; chomp $name; }
    print "$path\t$process\t$name\n";
}
"""


@dataclass(frozen=True)
class HeldLock:
    """A lock that another process holds.

    + process: its number; 0 where it is in another container
    + command: its name; empty where it is not to be seen
    """

    path: str
    process: int
    command: str

    def __str__(self) -> str:
        return f"process {self.process} ({self.command or 'unknown'}), which holds {self.path}"


class PackageLock(FactBase[HeldLock | None]):
    """The first of some locks that is held; None where all are free."""

    def command(self, paths: tuple[str, ...]) -> str:
        """The shell command: a line for each that is held.

        + paths: of the locks, on the host
        """
        return f"perl -e {shlex.quote(_HOLDERS)} {shlex.join(paths)}"

    @foreign
    def process(self, output: list[str]) -> HeldLock | None:
        """Read `PATH<tab>PROCESS<tab>COMMAND` lines."""
        path, process, command = output[0].split("\t")
        return HeldLock(path, int(process), command)
