"""What came from elsewhere is read within bounds, and every fault of it is a ValueError (or one of SQLite)."""

from __future__ import annotations

import io
import lzma
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from harness.foreign import (
    content_of,
    is_zip,
    member_of,
    open_database,
    open_tar,
    open_zip,
    parse_json,
    parse_toml,
    read_json_file,
    unzipped,
)
from harness.foreign.archives import BoundedFile


def test_json_comes_as_it_was(tmp_path: Path) -> None:
    """Text, bytes, a byte order mark and a file give the same document."""
    document = {"a": [1, 2.5, "ü", None, True]}
    text = '{"a": [1, 2.5, "ü", null, true]}'
    (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
    assert parse_json(text) == parse_json(text.encode()) == parse_json(b"\xef\xbb\xbf" + text.encode()) == document
    assert read_json_file(tmp_path / "a.json") == document


def test_toml_comes_as_it_was() -> None:
    """Text, bytes and a byte order mark give the same tables; dotted keys, dots in texts and 64 bits are no fault."""
    text = 'a.b."c.d" = 9_223_372_036_854_775_807\nt = """\n' + "1.2." * 20 + '\n"""\n[x.y]\nz = [0.5, "ü"]\n'
    tables = {"a": {"b": {"c.d": 2**63 - 1}}, "t": "1.2." * 20 + "\n", "x": {"y": {"z": [0.5, "ü"]}}}
    with pytest.raises(ValueError, match="a key has more than 8 parts"):
        parse_toml(text)
    text = text.replace("1.2." * 20, "of 1.2." * 20)
    tables["t"] = "of 1.2." * 20 + "\n"
    assert parse_toml(text) == parse_toml(text.encode()) == parse_toml(b"\xef\xbb\xbf" + text.encode()) == tables
    with pytest.raises(ValueError, match="utf-8"):
        parse_toml(b"a = '\xff'")
    with pytest.raises(ValueError, match="524,288"):
        parse_toml("#" * 600_000)


def test_an_xz_archive_is_read_as_the_library_does(tmp_path: Path) -> None:
    """In any order; of several streams, with what is none behind them; cut short, it is an error."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number in range(9):
            info = tarfile.TarInfo(str(number))
            info.size = 50_001
            tar.addfile(info, io.BytesIO(bytes([number]) * info.size))
    raw, path = packed.getvalue(), tmp_path / "a.tar.xz"
    whole = lzma.compress(raw, preset=9)
    for content in (whole, whole + b"more", lzma.compress(raw[:99_999]) + lzma.compress(raw[99_999:]) + bytes(4)):
        path.write_bytes(content)
        with open_tar(path, total=2**24) as tar:
            for info in reversed(tar.getmembers()):
                assert tar.extractfile(info).read() == bytes([int(info.name)]) * 50_001  # type: ignore[union-attr]
    path.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="ends in the middle"), open_tar(path) as tar:
        tar.getmembers()


def test_json_is_bounded_where_its_reader_says() -> None:
    """Bytes and levels are allowed up to the bound, and not one more."""
    assert parse_json("[[1]]", most=5, levels=2) == [[1]]
    for most, levels in ((4, 2), (5, 1)):
        with pytest.raises(ValueError, match="more than"):
            parse_json("[[1]]", most=most, levels=levels)


def test_an_archive_is_opened_once_for_many_members(tmp_path: Path) -> None:
    """The table of contents is read once, and again when the archive is another."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"first")
    first, info = member_of(path, "a")
    assert first is member_of(path, "a")[0]
    with first.open(info) as file:
        assert content_of(file, most=5) == b"first"
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"second!")
    assert member_of(path, "a")[1].file_size == 7
    with pytest.raises(KeyError):
        member_of(path, "b")


def test_archives_that_are_right_are_read(tmp_path: Path) -> None:
    """Zip, and tar in each of its packings, give their files."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a", b"content")
    assert is_zip(tmp_path / "a.zip")
    with open_zip(tmp_path / "a.zip") as archive, archive.open("a") as file:
        assert content_of(file, most=7) == b"content"
    for kind in ("", "gz", "bz2", "xz"):
        path = tmp_path / f"a.tar.{kind}"
        with tarfile.open(path, f"w:{kind}") as tar:  # type: ignore[call-overload]
            for name in ("a", "b"):
                info = tarfile.TarInfo(name)
                info.size = 7
                tar.addfile(info, io.BytesIO(b"content"))
        with open_tar(path, total=20_480) as tar:
            assert [content_of(tar.extractfile(member), most=7) for member in tar] == [b"content"] * 2  # type: ignore[arg-type]
        assert not is_zip(path)


def test_a_bounded_file_counts_what_is_skipped() -> None:
    """Bytes of one read, of all, and those between two places are within the bounds."""
    file = BoundedFile(io.BytesIO(bytes(100)), once=40, total=60)
    assert file.read(40) == bytes(40)
    with pytest.raises(ValueError, match="in one piece"):
        file.read(41)
    with pytest.raises(ValueError, match="unpacks to more"):
        file.seek(80)


def test_gzip_up_to_its_bound() -> None:
    """What unpacks to one byte more is refused."""
    import gzip

    packed = gzip.compress(bytes(1000))
    assert unzipped(packed, most=1000) == bytes(1000)
    with pytest.raises(ValueError, match="more than 999 bytes"):
        unzipped(packed, most=999)


def test_a_statement_ends_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    """One that does not end is interrupted, and the work of the next is counted from 0."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with closing(open_database(tmp_path / "a.db", work=3)) as db:
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            db.execute(endless).fetchall()
        for _ in range(10):
            some = db.execute(f"SELECT count(*) FROM ({endless.replace('count(*)', 'i')} LIMIT 10000)").fetchone()  # noqa: S608
            assert some == (10_000,)


def test_a_database_in_memory_and_one_that_nobody_writes(tmp_path: Path) -> None:
    """Both are opened; what is opened for reading is not written."""
    with closing(open_database(None)) as db:
        db.execute("CREATE TABLE a (b)")
    with closing(open_database(tmp_path / "a.db", autocommit=True)) as db:
        db.execute("CREATE TABLE a (b)")
    with closing(open_database(tmp_path / "a.db", readonly=True, immutable=True)) as db:
        assert db.execute("SELECT count(*) FROM a").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError):
            db.execute("INSERT INTO a VALUES (1)")
