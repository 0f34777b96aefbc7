"""Certificates of a cluster: made once, for one user, and refused where anybody else could read them."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from pathlib import Path

import pytest

from harness.cluster.tls import AUTHORITY, MEMBER, ensure_certificates, require_certificates
from harness.errors import PrerequisiteError

pytest.importorskip("cryptography", reason="it comes with the extra `cluster`, which the development lock installs")


def _context(folder: Path, side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(folder / AUTHORITY)
    context.load_cert_chain(folder / MEMBER)
    return context


def _talk(server: Path, client: Path) -> bytes:
    """Return what a client with the certificates of one folder hears from a server with those of another."""
    ours, theirs = socket.socketpair()
    said: list[BaseException] = []

    def serve() -> None:
        try:
            with _context(server, ssl.PROTOCOL_TLS_SERVER).wrap_socket(theirs, server_side=True) as talk:
                talk.sendall(b"hello")
        except OSError as error:
            said.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with _context(client, ssl.PROTOCOL_TLS_CLIENT).wrap_socket(ours) as talk:
            return talk.recv(5)
    finally:
        ours.close()
        thread.join(10)
        theirs.close()


def test_they_are_made_once_and_for_one_user(tmp_path: Path) -> None:
    """The second call finds those of the first, and nobody else may read them."""
    folder = ensure_certificates(tmp_path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == {AUTHORITY, MEMBER}
    assert ensure_certificates(tmp_path) == folder == require_certificates(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.stat().st_mode & 0o777 for path in (folder, *sorted(folder.iterdir()))] == [0o700, 0o600, 0o600]
    assert list(tmp_path.iterdir()) == [folder]
    assert before[AUTHORITY].count(b"PRIVATE KEY") == 0  # the authority's key is kept nowhere


def test_only_members_talk_to_each_other(tmp_path: Path) -> None:
    """Those of one folder do; with those of another cluster neither side is accepted."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = ensure_certificates(tmp_path / "one"), ensure_certificates(tmp_path / "other")
    assert _talk(one, one) == b"hello"
    with pytest.raises(ssl.SSLError):
        _talk(one, other)


@pytest.mark.parametrize("name", ["", AUTHORITY, MEMBER])
def test_what_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever holds the certificate runs code on the workers."""
    folder = ensure_certificates(tmp_path)
    (folder / name).chmod(0o750)
    with pytest.raises(PrerequisiteError, match="whoever can read"):
        require_certificates(tmp_path)
    with pytest.raises(PrerequisiteError, match="whoever can read"):
        ensure_certificates(tmp_path)


def test_a_link_in_their_place_is_refused(tmp_path: Path) -> None:
    """A folder that somebody else put there is not used."""
    (tmp_path / "shared").mkdir()
    ensure_certificates(tmp_path)
    (tmp_path / "shared" / "tls").symlink_to(tmp_path / "tls")
    with pytest.raises(PrerequisiteError, match="whoever can read"):
        ensure_certificates(tmp_path / "shared")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_those_of_another_user_are_refused(tmp_path: Path) -> None:
    """Also where this user could read them."""
    folder = ensure_certificates(tmp_path)
    os.chown(folder / MEMBER, 12345, 12345)
    with pytest.raises(PrerequisiteError, match="belongs to user 12345"):
        require_certificates(tmp_path)


def test_a_worker_makes_none(tmp_path: Path) -> None:
    """Where the driver's are missing, the shared folder is another one."""
    with pytest.raises(PrerequisiteError, match="have not been made"):
        require_certificates(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_shared_folder_nothing_is_made(tmp_path: Path) -> None:
    """A folder that is not mounted is not made in its place."""
    with pytest.raises(PrerequisiteError, match="does not exist here"):
        ensure_certificates(tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_two_who_make_them_at_once_end_with_the_same(tmp_path: Path) -> None:
    """The second one takes those of the first."""
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(ensure_certificates(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "tls"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["tls"]
    assert _talk(found[0], found[0]) == b"hello"
