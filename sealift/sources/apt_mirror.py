"""Which Debian mirror this machine's own apt is set up with.

Locks and release files name no mirror; whoever needs packages asks here, so a site's choice of mirror or
proxy is made once, in apt's configuration.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from sealift.errors import SealiftError

# One line per package index: `URI SUITE LABEL`. Source: apt-get(8), indextargets.
_QUERY = ("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(LABEL)", "Created-By: Packages")


@dataclass(frozen=True)
class Mirrors:
    """Base addresses, ending in `/`, below which `dists/` and `pool/` stand."""

    main: str
    security: str


def debian_mirrors() -> Mirrors:
    """The mirrors of Debian and of Debian-Security that this machine's apt uses.

    Raises SealiftError where apt is missing, or has no index of one of them yet.
    """
    try:
        output = subprocess.run(_QUERY, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise SealiftError("apt-get: not found, expected Debian. Run this on a Debian machine.") from None
    except subprocess.CalledProcessError as error:
        raise SealiftError(f"apt-get indextargets: {error.stderr.strip()}. Run apt-get update.") from None
    return parse_index_targets(output)


def parse_index_targets(output: str) -> Mirrors:
    """Take the first address per label.

    + output: of `apt-get indextargets`, lines of `URI SUITE LABEL`

    Raises SealiftError where a label is missing, or an address has a login in it.
    """
    by_label: dict[str, str] = {}
    for line in output.splitlines():
        fields = line.split(maxsplit=2)
        if len(fields) == 3:
            by_label.setdefault(fields[2], fields[0].rstrip("/") + "/")
    return Mirrors(main=_labelled(by_label, "Debian"), security=_labelled(by_label, "Debian-Security"))


def _labelled(by_label: dict[str, str], label: str) -> str:
    if label not in by_label:
        raise SealiftError(
            f"apt: no index labelled {label}, expected one in /etc/apt/sources.list*. "
            "Add the repository and run apt-get update."
        )
    # All could see it, in the arguments of apt's helper.
    if "@" in by_label[label].partition("://")[2].partition("/")[0]:
        raise SealiftError(
            f"apt: the address of {label} in /etc/apt/sources.list* has a login in it, expected none. "
            "Move the login to a file in /etc/apt/auth.conf.d, as apt_auth.conf(5) says."
        )
    return by_label[label]
