"""Folders are signed by SSH keys; an organiser's word counts with a listed key, for the purpose it was given for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.errors import DataError, UsageError
from harness.submissions.signature import OF_ROW, OF_VERIFICATION, sign, signer_of


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key without a passphrase."""
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a", "-f", path], check=True)
    return path


def test_a_signature_counts_for_its_content_its_purpose_and_its_key(key: Path, tmp_path: Path) -> None:
    """Another content, another purpose or a key that is not listed is refused."""
    made = sign(b"manifest", key, OF_VERIFICATION)
    signers = tmp_path / "signers"
    signers.write_text(f"organiser@example.org {key.with_suffix('.pub').read_text()}")
    assert signer_of(b"manifest", made, OF_VERIFICATION, signers) == "organiser@example.org"
    assert signer_of(b"manifest", made, OF_VERIFICATION, None).startswith("key SHA256:")
    others = tmp_path / "others"
    others.write_text("")
    for content, purpose, listed in (
        (b"other", OF_VERIFICATION, signers), (b"manifest", OF_ROW, signers), (b"manifest", OF_VERIFICATION, others),
        (b"other", OF_VERIFICATION, None), (b"manifest", OF_ROW, None),
    ):  # fmt: skip
        with pytest.raises(DataError):
            signer_of(content, made, purpose, listed)
    with pytest.raises(DataError):
        signer_of(b"manifest", b"nonsense", OF_VERIFICATION, signers)
    with pytest.raises(UsageError, match="does not exist"):
        sign(b"manifest", tmp_path / "none", OF_ROW)
