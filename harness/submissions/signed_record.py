"""Signatures of the records of runs: whoever can write database, masks and record cannot forge another's key."""

from __future__ import annotations

from pathlib import Path

from harness.errors import DataError, PrerequisiteError
from harness.runs.record import RECORD_NAME, SIGNED
from harness.submissions.signature import OF_RECORD, sign, signer_of

_MOST, _MOST_SIGNATURE = 256 * 2**20, 8 * 2**10


def sign_record(folder: Path, key: Path) -> Path:
    """Sign the record in a run's folder; return the file of the signature.

    Raises
    ------
    DataError
        The run has no record yet.
    UsageError, PrerequisiteError
        As :func:`harness.submissions.signature.sign`; or the folder cannot be written.
    """
    content = _read(folder / RECORD_NAME, _MOST, "let the run finish first")
    path = folder / SIGNED
    try:
        path.write_bytes(sign(content, key, OF_RECORD))
    except OSError as error:
        raise PrerequisiteError(f"{path} cannot be written: {error.strerror}", fix="check its permissions") from error
    return path


def check_signature(folder: Path, signers: Path) -> str:
    """Return who signed the record in a run's folder.

    Raises
    ------
    DataError
        Nobody did, the record is another one than was signed, or the key is none of `signers`.
    """
    content = _read(folder / RECORD_NAME, _MOST, "without it nothing confirms what the row states")
    signature = _read(folder / SIGNED, _MOST_SIGNATURE, "sign it: `bench results sign RUN --key KEY`")
    return signer_of(content, signature, OF_RECORD, signers)


def _read(path: Path, most: int, fix: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix=fix, path=path) from error
    if len(content) > most:
        raise DataError(f"{path} has more than {most:,} bytes", fix="it was not made by groundbench", path=path)
    return content
