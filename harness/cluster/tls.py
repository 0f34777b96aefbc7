"""Certificates of a cluster, made on first use: one authority, and one certificate that every process of it shows.

Driver, scheduler and workers prove to each other that they can read the folder ``tls/`` of the shared folder. The
authority's own key is thrown away as soon as it has signed, so that nobody can make a second certificate; to renew
them, remove the folder and start everything again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import stat
import tempfile
from pathlib import Path

from harness.errors import PrerequisiteError

#: Folder below the shared one.
FOLDER = "tls"

#: The authority's certificate; and the certificate of every process, with its key.
AUTHORITY, MEMBER = "ca.pem", "member.pem"

_VALID = dt.timedelta(days=3650)

#: How far clocks may differ before a new certificate looks as if it came from the future.
_SKEW = dt.timedelta(days=1)

_NEW = "remove it to have new certificates made, and start scheduler and workers again"


def require_certificates(shared: Path) -> Path:
    """Return the folder with the certificates of a cluster, after making sure that nobody else can read them.

    Parameters
    ----------
    shared
        The cluster's shared folder.

    Raises
    ------
    PrerequisiteError
        When they are not there, or belong to or can be read by somebody else.
    """
    folder = shared / FOLDER
    for path in (folder, folder / AUTHORITY, folder / MEMBER):
        try:
            found = path.lstat()
        except FileNotFoundError as error:
            raise PrerequisiteError(
                f"there is no {path}: the cluster's certificates have not been made",
                fix="`bench cluster check NAME` on the driver makes them; or the shared folder is another one here",
            ) from error
        except PermissionError as error:
            raise PrerequisiteError(
                f"{path} cannot be read by this user ({os.getuid()})",
                fix="run scheduler, workers and driver as the user who made the certificates",
            ) from error
        if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PrerequisiteError(
                f"{path} belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):o}: whoever can read or "
                "change the certificates runs code on the workers",
                fix=f"it must belong to user {os.getuid()}, without access for others (`chmod -R go= {folder}`); or "
                + _NEW,
            )
    return folder


def ensure_certificates(shared: Path) -> Path:
    """Return the folder of :func:`require_certificates`, making the certificates where there are none.

    Two that make them at once end with those of one of them.
    """
    folder = shared / FOLDER
    if not os.path.lexists(folder):
        if not shared.is_dir():
            raise PrerequisiteError(
                f"the shared folder {shared} does not exist here", fix="mount or make it, or correct `shared`"
            )
        made = Path(tempfile.mkdtemp(prefix=f".{FOLDER}-", dir=shared))  # with mode 0700
        try:
            _make(made)
            with contextlib.suppress(FileExistsError, OSError):  # ENOTEMPTY: another process came first
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return require_certificates(shared)


def _make(folder: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def usage(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=signs,
            encipher_only=False,
            decipher_only=False,
        )

    now = dt.datetime.now(dt.UTC)
    authority, member = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    known = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())

    def certificate(subject: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("groundbench cluster"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + _VALID)
        )

    root = (
        certificate("groundbench cluster", authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs=True), critical=True)
        .add_extension(known, critical=False)
        .sign(authority, hashes.SHA256())
    )
    leaf = (
        certificate("groundbench cluster member", member.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("groundbench")]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = member.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(folder / AUTHORITY, root.public_bytes(pem))
    _write(folder / MEMBER, leaf.public_bytes(pem) + key)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
