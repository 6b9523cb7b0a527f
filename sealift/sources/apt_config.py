"""An apt of our own: without the machine's packages and sources, with its proxies, CAs and logins."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import SealiftError

# apt 2.6 (Debian 12) or newer. Source of the names: apt.conf(5); APT_CONFIG's file is read before all others
# and can move them.
_TEMPLATE = """\
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Log "{root}/log";
Dir::Etc::main "{root}/none/main";
Dir::Etc::parts "{root}/none";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "{root}/none";
Dir::Etc::preferences "{root}/none/preferences";
Dir::Etc::preferencesparts "{root}/none";
Dir::Etc::trusted "{root}/none/trusted.gpg";
Dir::Etc::trustedparts "{root}/none";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
"""


@dataclass(frozen=True)
class IsolatedApt:
    """apt's tools with everything of theirs below one folder."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> IsolatedApt:
        """Set up an apt without packages and sources.

        + root: an empty folder of ours

        Raises SealiftError where there is no apt.
        """
        for folder in ("state/lists/partial", "cache/archives/partial", "log", "none"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources.list").touch()
        machine = run(("apt-config", "dump"), os.environ)
        # how to fetch, and where logins are: apt_auth.conf(5)
        acquire = [line for line in machine.splitlines() if line.startswith(("Acquire::", "Dir::Etc::netrc"))]
        config = root / "apt.conf"
        config.touch(mode=0o600)  # a proxy's password may be in it
        config.write_text("\n".join(acquire) + "\n" + _TEMPLATE.format(root=root))
        return cls(root)

    def run(self, *arguments: str) -> str:
        """Run one of apt's tools and return what it prints.

        Raises SealiftError with its errors.
        """
        return run(arguments, self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to be this apt."""
        return {**os.environ, "APT_CONFIG": str(self.root / "apt.conf"), "LC_ALL": "C.UTF-8"}


def run(arguments: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Run one of apt's tools and return what it prints.

    Raises SealiftError with its errors, a line each.
    """
    try:
        result = subprocess.run(
            arguments, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise SealiftError(
            f"{arguments[0]}: not found, expected Debian. Run this on a Debian machine."
        ) from None
    if result.returncode != 0:
        raise SealiftError(f"{arguments[0]}: {explain(result.stderr.decode(errors='replace'))}")
    return result.stdout.decode(errors="replace")  # old repositories have Latin-1 in their indexes


def explain(output: str) -> str:
    """apt's own errors out of what it wrote, a line each, and what it only warns of but makes them plain."""
    errors = [line[3:] for line in output.splitlines() if line.startswith(("E: ", "W: GPG error: "))]
    return "\n".join(errors) or output.strip() or "failed without a word"
