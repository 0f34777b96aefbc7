"""Digests of files are remembered for as long as the file is the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from harness.digests import DigestCache
from harness.errors import DataError


def _old(path: Path) -> Path:
    """Give a file a time long past: one that may still change is never remembered."""
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """SHA-256 of the bytes, as sha256sum prints it."""
    (tmp_path / "a").write_bytes(b"abc" * 1000)
    assert DigestCache(None).digest(tmp_path / "a") == hashlib.sha256(b"abc" * 1000).hexdigest()


def test_what_is_known_is_not_read_again(tmp_path: Path) -> None:
    """A second process finds the digest in the cache and reads no byte of the file."""
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    _old(path)
    first = DigestCache(tmp_path / "cache").digest(path)
    read: list[Path] = []
    again = DigestCache(tmp_path / "cache", lambda file, _: read.append(file)).digest(path)
    assert (again, read) == (first, [])


def test_another_content_is_another_digest(tmp_path: Path) -> None:
    """A file of the same size that was written anew is read anew."""
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    cache = DigestCache(tmp_path / "cache")
    first = cache.digest(_old(path))
    path.write_bytes(b"abd")
    assert cache.digest(path) == hashlib.sha256(b"abd").hexdigest() != first


def test_a_change_in_place_with_its_time_put_back_is_seen(tmp_path: Path) -> None:
    """Path, size, inode and time of modification are as before; the content is not, and the file is named."""
    path = tmp_path / "truth"
    path.write_bytes(b"abc")
    cache = DigestCache(tmp_path / "cache")
    first = cache.digest(_old(path))
    with path.open("r+b") as file:
        file.write(b"xyz")
    again = DigestCache(tmp_path / "cache")
    assert again.digest(_old(path)) == hashlib.sha256(b"xyz").hexdigest() != first
    assert again.changed == [path]


def test_what_is_verified_is_read_whatever_is_remembered(tmp_path: Path) -> None:
    """A change that leaves no trace in any attribute is found by reading; what did not change is not named."""
    path, other = _old(_written(tmp_path / "a", b"abc")), _old(_written(tmp_path / "b", b"abc"))
    cache = DigestCache(tmp_path / "cache")
    digest = cache.digest(path)
    cache.digest(other)
    lines = (tmp_path / "cache" / "digests.jsonl").read_text()
    (tmp_path / "cache" / "digests.jsonl").write_text(lines.replace(digest, "0" * 64, 1))
    assert DigestCache(tmp_path / "cache").digest(path) == "0" * 64
    verifying = DigestCache(tmp_path / "cache", again=True)
    assert (verifying.digest(path), verifying.digest(other)) == (digest, digest)
    assert verifying.changed == [path]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_file_that_was_just_made_is_named_as_well_when_it_has_changed(tmp_path: Path) -> None:
    """Its digest is not looked up, since it may change unseen; what it held is remembered all the same."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = DigestCache(tmp_path / "cache").digest(path)
    path.write_bytes(b"two")
    later = DigestCache(tmp_path / "cache", again=True)
    assert later.digest(path) != first
    assert later.changed == [path]
    assert DigestCache(tmp_path / "cache").digest(path) == later.digest(path)


def test_a_file_that_is_gone_is_bad_data(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(DataError, match="gone"):
        DigestCache(None).digest(tmp_path / "gone")
