"""Signatures of text folders by the SSH keys that people have: made and checked by ``ssh-keygen -Y``."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from harness.errors import DataError, PrerequisiteError, UsageError
from harness.submissions.text_files import shown

#: What a signature is for: an author's of a folder is none of an organiser on its verification.
OF_ROW, OF_VERIFICATION, OF_RECORD = "groundbench-row", "groundbench-verification", "groundbench-record"

_SECONDS: Final = 30
_GOOD = re.compile(r"Good \"[^\"]*\" signature .*?(?:with|key) .*?(SHA256:[A-Za-z0-9+/]{43})")


def sign(content: bytes, key: Path, purpose: str) -> bytes:
    """Return the signature of some bytes by a private key, or by the agent's key of a public one.

    Raises
    ------
    UsageError
        The key does not sign.
    PrerequisiteError
        ssh-keygen is not there.
    """
    if not key.is_file():
        raise UsageError(f"the key {key} does not exist", fix="make one: ssh-keygen -t ed25519")
    done = _keygen(["-Y", "sign", "-f", str(key), "-n", purpose, "-q"], content)
    if done.returncode or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise UsageError(f"{key} does not sign: {shown(done.stderr.decode(errors='replace'))}", fix="check the key")
    return done.stdout


def signer_of(content: bytes, signature: bytes, purpose: str, signers: Path | None) -> str:
    """Return who signed some bytes.

    Parameters
    ----------
    content, signature
        The bytes, and the signature.
    purpose
        What it has to be for.
    signers
        The keys that count, in the form of ``allowed_signers``; None: any key, which is named by its fingerprint.

    Raises
    ------
    DataError
        It is not a signature of these bytes for this purpose, or not by one of the keys.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "signature")
        file.write_bytes(signature)
        if signers is None:
            done = _keygen(["-Y", "check-novalidate", "-n", purpose, "-s", str(file)], content)
            found = _GOOD.search(done.stdout.decode(errors="replace"))
            if done.returncode or found is None:
                raise DataError("the signature is not one of this manifest", fix="sign it again, or leave it out")
            return f"key {found[1]}"
        known = _keygen(["-Y", "find-principals", "-s", str(file), "-f", str(signers)], content)
        for name in known.stdout.decode(errors="replace").splitlines() if known.returncode == 0 else ():
            options = ["-Y", "verify", "-f", str(signers), "-I", name, "-n", purpose, "-s", str(file)]
            if _keygen(options, content).returncode == 0:
                return name
    raise DataError(f"it is not signed by a key of {signers}", fix="only a key that the board lists counts")


def _keygen(arguments: list[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", *arguments]
    try:
        return subprocess.run(command, input=content, capture_output=True, timeout=_SECONDS, check=False)
    except OSError as error:
        raise PrerequisiteError("signatures need ssh-keygen", fix="install OpenSSH's client") from error
    except subprocess.TimeoutExpired as error:
        raise PrerequisiteError(
            "ssh-keygen waits for a passphrase", fix="add the key to an agent (ssh-add), and give its public file"
        ) from error
