"""The statements of a site: signed, kept in a folder beside its depot, and foreign whenever they are read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sealift.bundle import signature
from sealift.content import read_foreign
from sealift.errors import SealiftError, one_line
from sealift.files import write_atomically
from sealift.host.settings import SiteSettings
from sealift.oci.layout import SIGNATURE_LIMIT
from sealift.progress import Progress, silent
from sealift.promotion.statements import (
    NAMESPACES,
    STATEMENT_LIMIT,
    Override,
    Statement,
    dump_statement,
    out_of_time,
    parse_statement,
)

_MOST = 1000  # statements of a folder that are looked at, the newest by name


@dataclass(frozen=True)
class Signed:
    """A statement of which the signature is right.

    + signer: as the list of allowed signers names them
    + digest: SHA-256 of the statement's bytes
    """

    statement: Statement
    signer: str
    digest: str
    path: Path


@dataclass(frozen=True)
class Found:
    """Statements of a folder.

    + signed: those of allowed signers, the newest first
    + passed_over: why others count for nothing, a line each
    """

    signed: tuple[Signed, ...] = ()
    passed_over: tuple[str, ...] = ()


def statements_folder(settings: SiteSettings) -> Path:
    """Where a site's statements lie: as it says, or beside its depot, where no release takes them away."""
    return settings.promotion.statements or settings.depot.absolute().parent / "promotions"


def sign_statement(statement: Statement, key: Path, folder: Path, progress: Progress = silent) -> Path:
    """Sign a statement and write it to a file of its own, the signature beside it as `.sig`; give its path.

    + key: OpenSSH key of who says it
    + folder: made where it is missing
    + progress: told that somebody may be asked

    Raises SealiftError where it cannot be signed; nothing is written then.
    """
    content = dump_statement(statement)
    proof = signature.sign(content, key, NAMESPACES[statement.kind], progress)
    return _keep(statement, content, proof, folder)


def take_statement(path: Path, signers: Path, folder: Path) -> Signed:
    """Keep a statement that was carried here, once its signature is right.

    + path: of the statement; foreign until verified

    Raises SealiftError where it is none, or nobody of the list signed it.
    """
    found = read_statement(path, signers)
    content, proof = read_foreign(path, STATEMENT_LIMIT), read_foreign(signature_of(path), SIGNATURE_LIMIT)
    if _digest(content) != found.digest:
        raise SealiftError(f"{path}: changed while it was read. Take it again.")
    return Signed(found.statement, found.signer, found.digest, _keep(found.statement, content, proof, folder))


def read_statement(path: Path, signers: Path) -> Signed:
    """A statement with a right signature.

    Raises SealiftError where it is none, or nobody of the list signed it for what it is.
    """
    content = read_foreign(path, STATEMENT_LIMIT)
    statement = parse_statement(content, str(path))
    proof = read_foreign(signature_of(path), SIGNATURE_LIMIT)
    signer = signature.verify(content, proof, signers, NAMESPACES[statement.kind], str(path))
    return Signed(statement, signer, _digest(content), path)


def read_override(path: Path, signers: Path, now: datetime) -> tuple[Signed, Override]:
    """An override that holds now.

    Raises SealiftError where it does not, or nobody of the list signed it.
    """
    found = read_statement(path, signers)
    said = found.statement
    late = out_of_time(said, now, 0)
    if not isinstance(said, Override) or late:
        raise SealiftError(
            f"{path}: {late or f'is of the kind {said.kind}'}, expected an override that holds. "
            "Have one made: sealift promote override --help"
        )
    return found, said


def find_statements(folder: Path, signers: Path, bundle: str) -> Found:
    """The statements about a bundle, of whatever kind and environment.

    + folder: of all; need not be there
    + bundle: digest; what is about others is not verified
    """
    signed: list[Signed] = []
    passed_over: list[str] = []
    for path in sorted(folder.glob("*.json"), reverse=True)[:_MOST]:
        try:
            if parse_statement(read_foreign(path, STATEMENT_LIMIT), str(path)).bundle == bundle:
                found = read_statement(path, signers)  # another one may lie there by now
                signed += [found] if found.statement.bundle == bundle else []
        except SealiftError as error:
            passed_over.append(one_line(str(error).partition("\n")[0]))
    signed.sort(key=lambda each: each.statement.at, reverse=True)
    return Found(tuple(signed), tuple(passed_over))


def signature_of(path: Path) -> Path:
    """Where the signature of a statement lies."""
    return path.with_name(f"{path.name}.sig")


def _keep(statement: Statement, content: bytes, proof: bytes, folder: Path) -> Path:
    """Write both; the statement last, for by its name it is found. Two people may say the same."""
    moment = statement.at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{moment}-{statement.kind}-{statement.environment}-{_digest(content + proof)[7:19]}.json"
    path = folder / name
    write_atomically(signature_of(path), proof)
    write_atomically(path, content)
    return path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
