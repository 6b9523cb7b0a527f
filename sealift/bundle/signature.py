"""OpenSSH's signatures: every site has the tool, and an auditor verifies by hand.

Source of the format: ssh-keygen(1), "ALLOWED SIGNERS", and PROTOCOL.sshsig of OpenSSH.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sealift.content import read_foreign
from sealift.errors import SealiftError
from sealift.oci.layout import SIGNATURE_LIMIT
from sealift.progress import ASKING, Progress, silent
from sealift.scratch import scratch

NAMESPACE = "sealift"  # bundles
HAVE_NAMESPACE = "sealift-have"  # have-lists: who may sign those may not sign bundles


def check_key(key: Path) -> None:
    """Whether a key can sign, as far as that shows without asking anybody for its passphrase.

    + key: OpenSSH private key, or the public half of one that an agent or token holds

    Raises SealiftError where it is missing, no key, open to others, a public half without its private one, or
    needs a passphrase and there is no terminal to ask at.
    """
    if not key.is_file():
        raise SealiftError(f"{key}: not found, expected the key that signs. Correct the path.")
    fingerprint = _fingerprint(key)
    if fingerprint.encode() in _run("ssh-add", "-l").stdout.split():
        return
    private = key.with_suffix("") if key.suffix == ".pub" else key
    if not private.is_file():
        raise SealiftError(
            f"{key}: is the public half of a key, and no agent has the private one. Name the private key."
        )
    tried = _run("ssh-keygen", "-y", "-P", "", "-f", str(private))
    if tried.returncode == 0:
        return
    if b"incorrect passphrase" not in tried.stderr:
        raise SealiftError(f"{private}: cannot sign with it: {_said(tried)}. Mend that or name another key.")
    with _terminal() as terminal:
        if terminal is None:
            raise SealiftError(
                f"{private}: needs a passphrase, and there is no terminal to ask for it at. "
                "Run the command at one, or give the key to an agent (ssh-add)."
            )


def sign(content: bytes, key: Path, namespace: str = NAMESPACE, progress: Progress = silent) -> bytes:
    """Sign bytes; at a terminal, ssh-keygen asks there for a passphrase or a touch.

    + key: as in `check_key`
    + namespace: what the signature is good for
    + progress: told beforehand that somebody may be asked

    Raises SealiftError where ssh-keygen does not.
    """
    with scratch("signature") as folder, _terminal() as terminal:
        file = folder / "content"  # not standard input: without a terminal a passphrase is read from there
        file.write_bytes(content)
        progress(ASKING, 0, 0)
        result = _run(
            *("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace, str(file)), terminal=terminal
        )
        if result.returncode != 0:
            raise SealiftError(f"{key}: cannot sign with it: {_said(result)}. Mend that or name another key.")
        return file.with_name(f"{file.name}.sig").read_bytes()


def left_at(path: Path) -> bytes:
    """The signature that an earlier run left, as `renew` takes it: foreign bytes, or none."""
    try:
        return read_foreign(path, SIGNATURE_LIMIT)
    except SealiftError:
        return b""


def renew(content: bytes, old: bytes, key: Path, progress: Progress) -> bytes:
    """The old signature where this key made it over these bytes, else a new one: nobody is asked in vain.

    + old: what `left_at` gave
    + key: as in `check_key`
    + progress: as in `sign`

    Raises SealiftError where ssh-keygen does not sign.
    """
    with _signature_file(old) as file:
        found = _run(*("ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", file), content=content)
    if found.returncode == 0 and _fingerprint(key).encode() in found.stdout.split():
        return old
    return sign(content, key, progress=progress)


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
    with _signature_file(signature) as file:
        found = _run("ssh-keygen", "-Y", "find-principals", "-s", file, "-f", str(allowed_signers))
        principals = found.stdout.decode(errors="replace").splitlines()
        if found.returncode != 0 or not principals:
            raise SealiftError(
                f"{where}.sig: {_said(found)}: nobody in {allowed_signers} made it. "
                "Refuse it, or add the signer's key to the list after checking it by another way."
            )
        last = found
        for principal in principals:
            last = _run(
                *("ssh-keygen", "-Y", "verify", "-f", str(allowed_signers), "-I", principal),
                *("-n", namespace, "-s", file),
                content=content,
            )
            if last.returncode == 0:
                return principal
    raise SealiftError(
        f"{where}: {_said(last)}: signed by {', '.join(principals)}, but not with this content, "
        f"or the list does not allow them {namespace}. "
        f"If it or {where}.sig was altered or damaged, copy both again from their source."
    )


@contextmanager
def _signature_file(signature: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="sealift-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        yield file.name


def _fingerprint(key: Path) -> str:
    found = _run("ssh-keygen", "-l", "-f", str(key))
    if found.returncode != 0:
        raise SealiftError(
            f"{key}: is no key of OpenSSH: {_said(found)}. Make one with ssh-keygen -t ed25519."
        )
    return found.stdout.decode(errors="replace").split()[1]


@contextmanager
def _terminal() -> Iterator[BinaryIO | None]:
    """The terminal that somebody sits at, wherever output goes; none in cron or under `ssh HOST sealift`."""
    try:
        terminal = Path("/dev/tty").open("r+b", buffering=0)  # noqa: SIM115 - closed below
    except OSError:
        terminal = None
    try:
        yield terminal
    finally:
        if terminal is not None:
            terminal.close()


def _run(
    *command: str, content: bytes = b"", terminal: BinaryIO | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command: in front of who sits at a terminal, else asking nobody, its words kept."""
    try:
        if terminal is not None:
            return subprocess.run(
                command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, check=False
            )
        return subprocess.run(
            command,
            input=content,
            capture_output=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
            start_new_session=True,
            check=False,
        )
    except FileNotFoundError:
        raise SealiftError(f"{command[0]}: not found. Install the package openssh-client.") from None


def _said(result: subprocess.CompletedProcess[bytes]) -> str:
    """What it said first, but for a frame of @ around a warning; at a terminal it has been read there."""
    lines = ((result.stderr or b"") + b"\n" + result.stdout).decode(errors="replace").split("\n")
    said = (line.strip().rstrip(".") for line in lines if line.strip() and not line.startswith("@"))
    return next(said, "see above" if result.stderr is None else "no answer")
