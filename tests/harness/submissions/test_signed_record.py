"""The record of a run, signed: another record, another key and no signature at all are named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import DataError
from harness.submissions.signed_record import check_signature, sign_record

if TYPE_CHECKING:
    from tests.harness.submissions.conftest import Made

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def _key(folder: Path, name: str) -> tuple[Path, str]:
    """Make a key; return it, and its line of a file of signers."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    kind, public, *_ = path.with_suffix(".pub").read_text(encoding="utf-8").split()
    return path, f"{name}@example.org {kind} {public}\n"


def test_a_signature_holds_for_its_record_and_its_key(made: Made, tmp_path: Path) -> None:
    """Signed by whom the file lists, over these bytes; anything else is refused."""
    place = tmp_path / "run"
    place.mkdir()
    shutil.copy(made.home / "runs" / made.run / "record.json", place)
    ours, line = _key(tmp_path, "ours")
    signers = tmp_path / "signers"
    signers.write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match=r"record\.json\.sig cannot be read"):
        check_signature(place, signers)
    sign_record(place, ours)
    assert check_signature(place, signers) == "ours@example.org"
    theirs, _ = _key(tmp_path, "theirs")
    sign_record(place, theirs)
    with pytest.raises(DataError, match="not signed by a key"):
        check_signature(place, signers)
    sign_record(place, ours)
    record = place / "record.json"
    record.write_bytes(record.read_bytes().replace(b'"dice": 0', b'"dice": 1', 1) + b" ")
    with pytest.raises(DataError, match="not signed by a key"):
        check_signature(place, signers)
    record.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        sign_record(place, ours)
