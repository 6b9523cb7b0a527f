"""OpenSSH's signatures: every site has the tool, and an auditor verifies by hand.

Source of the format: ssh-keygen(1), "ALLOWED SIGNERS", and PROTOCOL.sshsig of OpenSSH.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from sealift.errors import SealiftError

NAMESPACE = "sealift"  # bundles
HAVE_NAMESPACE = "sealift-have"  # have-lists: who may sign those may not sign bundles


def sign(content: bytes, key: Path, namespace: str = NAMESPACE) -> bytes:
    """Sign bytes.

    + key: OpenSSH private key, or the public half of one that an agent or token holds
    + namespace: what the signature is good for

    Raises SealiftError where ssh-keygen does not.
    """
    result = _ssh_keygen(content, "-Y", "sign", "-f", str(key), "-n", namespace)
    if result.returncode != 0:
        raise SealiftError(
            f"{key}: cannot sign with it: {_said(result)}. Make one with ssh-keygen -t ed25519."
        )
    return result.stdout


def verify(
    content: bytes,
    signature: bytes,
    allowed_signers: Path,
    namespace: str = NAMESPACE,
    where: str = "index.json",
) -> str:
    """Check a signature against a list of allowed signers, and say who made it.

    + content: what was signed
    + allowed_signers: lines of `NAME namespaces="sealift" ssh-ed25519 KEY`
    + namespace: what the signature must be good for
    + where: the file that was signed, for messages; the signature lies beside it as `.sig`

    Raises SealiftError where the signer is not on the list, or the content is not what was signed.
    """
    if not allowed_signers.is_file():
        raise SealiftError(f"{allowed_signers}: not found, expected a list of allowed signers.")
    with tempfile.NamedTemporaryFile(prefix="sealift-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        found = _ssh_keygen(b"", "-Y", "find-principals", "-s", file.name, "-f", str(allowed_signers))
        principals = found.stdout.decode(errors="replace").splitlines()
        if found.returncode != 0 or not principals:
            raise SealiftError(
                f"{where}.sig: {_said(found)}: nobody in {allowed_signers} made it. "
                "Refuse it, or add the signer's key to the list after checking it by another way."
            )
        last = found
        for principal in principals:
            last = _ssh_keygen(
                content,
                *("-Y", "verify", "-f", str(allowed_signers), "-I", principal),
                *("-n", namespace, "-s", file.name),
            )
            if last.returncode == 0:
                return principal
    raise SealiftError(
        f"{where}: {_said(last)}: signed by {', '.join(principals)}, but not with this content, "
        f"or the list does not allow them {namespace}. "
        f"If it or {where}.sig was altered or damaged, copy both again from their source."
    )


def _ssh_keygen(content: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(("ssh-keygen", *arguments), input=content, capture_output=True, check=False)
    except FileNotFoundError:
        raise SealiftError("ssh-keygen: not found. Install the package openssh-client.") from None


def _said(result: subprocess.CompletedProcess[bytes]) -> str:
    lines = (result.stderr + b"\n" + result.stdout).decode(errors="replace").split("\n")
    return next((line.strip().rstrip(".") for line in lines if line.strip()), "no answer")
