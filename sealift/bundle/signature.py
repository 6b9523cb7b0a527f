"""OpenSSH's signatures over a bundle's index: every site has the tool, and an auditor verifies by hand.

Source of the format: ssh-keygen(1), "ALLOWED SIGNERS", and PROTOCOL.sshsig of OpenSSH.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from sealift.errors import SealiftError

NAMESPACE = "sealift"


def sign(content: bytes, key: Path) -> bytes:
    """Sign bytes.

    + key: OpenSSH private key, or the public half of one that an agent or token holds

    Raises SealiftError where ssh-keygen does not.
    """
    result = _ssh_keygen(content, "-Y", "sign", "-f", str(key), "-n", NAMESPACE)
    if result.returncode != 0:
        raise SealiftError(
            f"{key}: cannot sign with it: {_said(result)}. Make one with ssh-keygen -t ed25519."
        )
    return result.stdout


def verify(content: bytes, signature: bytes, allowed_signers: Path) -> str:
    """Check a signature against the site's list, and say who made it.

    + content: what was signed
    + allowed_signers: lines of `NAME namespaces="sealift" ssh-ed25519 KEY`

    Raises SealiftError where the signer is not on the list, or the content is not what was signed.
    """
    if not allowed_signers.is_file():
        raise SealiftError(f"{allowed_signers}: not found, expected the site's list of allowed signers.")
    with tempfile.NamedTemporaryFile(prefix="sealift-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        found = _ssh_keygen(b"", "-Y", "find-principals", "-s", file.name, "-f", str(allowed_signers))
        principals = found.stdout.decode(errors="replace").splitlines()
        if found.returncode != 0 or not principals:
            raise SealiftError(
                f"index.json.sig: {_said(found)}: nobody in {allowed_signers} made it. "
                "Refuse this bundle, or add the signer's key to the list after checking it by another way."
            )
        last = found
        for principal in principals:
            last = _ssh_keygen(
                content,
                *("-Y", "verify", "-f", str(allowed_signers), "-I", principal),
                *("-n", NAMESPACE, "-s", file.name),
            )
            if last.returncode == 0:
                return principal
    raise SealiftError(
        f"index.json: {_said(last)}: signed by {', '.join(principals)}, but not with this content. "
        "It was altered or damaged: copy the bundle again from its source."
    )


def _ssh_keygen(content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(("ssh-keygen", *arguments), input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise SealiftError("ssh-keygen: not found. Install the package openssh-client.") from None


def _said(result: subprocess.CompletedProcess[bytes]) -> str:
    lines = (result.stderr + b"\n" + result.stdout).decode(errors="replace").split("\n")
    return next((line.strip().rstrip(".") for line in lines if line.strip()), "no answer")
