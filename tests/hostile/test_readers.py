"""Files of strangers, each of a kind that once stopped or choked a reader: all end in a message, in bounded time."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import sqlite3
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from curation.reports import read_reports
from curation.work import Work
from harness.dataset.index import read_index
from harness.errors import BenchError
from harness.foreign import open_tar, open_zip, parse_json, parse_toml, read_json_file
from harness.foreign.archives import MOST_CONTENTS
from harness.images.archive import _inspect
from harness.registry.card import read_card
from harness.registry.constraints import DeclarationError
from harness.registry.plugin_toml import read_plugin_toml
from harness.rows import RunRow
from harness.scoring.submission import open_submission
from harness.store.database import Store
from harness.submissions.strict_json import read_json
from harness.upstream.sources import _from_archive
from leaderboard.site.withheld import _is_published

#: CPU seconds, and bytes of memory at most, that one file may cost.
SECONDS = 5.0
MEMORY = 300 * 2**20

GIB = 2**30

Recorder = Callable[[str, object], None]


def _refused(record: Recorder, name: str, read: Callable[[], object], *, words: str = "") -> None:
    """Check that a file is refused by an error of ours, or a ValueError of a reader, within the bounds."""
    record("attack", name)
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((BenchError, ValueError, sqlite3.Error)) as caught:
        read()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    seconds = time.process_time() - began
    assert seconds < SECONDS
    assert grown < MEMORY
    assert words in str(caught.value)
    record("outcome", f"{seconds:.2f} s: {' '.join(str(caught.value).split())}"[:110])


# -- JSON ---

DOCUMENTS: dict[str, bytes] = {
    "nested-lists": b"[" * 100_000,
    "nested-and-closed": b"[" * 900 + b"]" * 900,
    "nested-objects": b'{"a":' * 5_000,
    "number-of-29-digits": b'{"test": ' + b"9" * 29 + b"0000}",
    "number-of-a-million-digits": b"[" + b"9" * 1_000_000 + b"]",
    "fraction-of-a-million-digits": b"[0." + b"1" * 1_000_000 + b"]",
    "exponent-beyond-all": b"[1e999999]",
    "not-a-number": b"[NaN]",
    "endless": b"[Infinity]",
    "half-a-character": b'["\xff"]',
    "cut-short": b'{"test": [{"name": "a',
    "nothing": b"",
    "another-encoding": '{"test": []}'.encode("utf-16"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """JSON of no sane writer is refused by the reader itself, and by those who read an index or a text folder."""
    content = DOCUMENTS[name]
    path = tmp_path / "dataset.json"
    path.write_bytes(content)
    _refused(record_property, f"json: {name}", lambda: parse_json(content))
    with pytest.raises(ValueError, match=r"it |Expecting|number|codec|Untermin"):
        read_json_file(path)
    index = read_index(path)
    assert index.problems
    assert not index.splits
    with pytest.raises(BenchError):
        read_json(content, "record.json")


@pytest.mark.parametrize("name", ["pipe", "device", "folder"])
def test_places_that_are_no_files(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """A pipe in the place of a file is not waited for, an endless device not read."""
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "folder": tmp_path}[name]
    if name == "pipe":
        os.mkfifo(path)
    record_property("attack", f"json: a {name} in the place of the file")
    with pytest.raises((OSError, ValueError)) as caught:
        read_json_file(path)
    record_property("outcome", str(caught.value)[:100])


# -- TOML ---

#: Of at most 256 KiB: what a plugin.toml may have.
DECLARATIONS: dict[str, str] = {
    "key-of-130,000-parts": "a." * 130_000 + "a = 1",
    "table-of-130,000-parts": "[" + "a." * 130_000 + "a]",
    "array-of-tables-of-130,000-parts": "[[" + " a ." * 60_000 + "a]]",
    "quoted-parts": '"a".' * 65_000 + "a = 1",
    "parts-in-an-inline-table": "a = {" + "b." * 130_000 + "c = 1}",
    "blanks-before-nothing": " \t" * 130_000 + "=",
    "quote-without-an-end": '"' + r"\a" * 130_000,
    "nested-lists": "a = " + "[" * 900 + "]" * 900,
    "number-of-260,000-hex-digits": "a = 0x" + "F" * 260_000,
    "number-of-65-bits": "a = [{ b = 36893488147419103232 }]",
    "10,000-tables-in-one": "".join(f"[{'a.' * 7}b{n}]\n" for n in range(10_000)) + "a",
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_declarations(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """TOML of no sane writer is refused by the reader, and by those of plugins and of cards, in bounded time."""
    text = DECLARATIONS[name]
    _refused(record_property, f"toml: {name}", lambda: parse_toml(text))
    (tmp_path / "plugin.toml").write_text(text)
    began = time.process_time()
    with pytest.raises(DeclarationError):
        read_plugin_toml(tmp_path)
    with pytest.raises(BenchError):
        read_card(tmp_path / "plugin.toml")
    assert time.process_time() - began < SECONDS


# -- archives ---


def _zip(*names: str, content: bytes = b"", method: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return packed.getvalue()


def _with_contents_of(size: int) -> bytes:
    """Return a zip whose end claims a table of contents of so many bytes, which are there as a hole of the file."""
    end = _zip("a")[-22:]
    return end[:12] + struct.pack("<L", size) + end[16:]


def _tar(name: str = "a", *, claims: int, kind: bytes = tarfile.REGTYPE, content: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, claims
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(1024)


def _of_zeros(claims: int, kind: bytes) -> bytes:
    """Return a tar packed with gzip: a header that claims so many bytes, and that many zeros behind it."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as stream:
        stream.write(_tar(claims=claims, kind=kind)[:512])
        for _ in range(claims // 2**22):
            stream.write(bytes(2**22))
    return packed.getvalue()


TARS: dict[str, Callable[[], bytes]] = {
    "extended-header-of-128-mib": lambda: _of_zeros(2**27, tarfile.XHDTYPE),
    "global-header-of-128-mib": lambda: _of_zeros(2**27, tarfile.XGLTYPE),
    "long-name-of-128-mib": lambda: _of_zeros(2**27, tarfile.GNUTYPE_LONGNAME),
    "long-link-of-128-mib": lambda: _of_zeros(2**27, tarfile.GNUTYPE_LONGLINK),
    "extended-header-claims-3-gib": lambda: _tar(claims=3 * GIB, kind=tarfile.XHDTYPE),
    "file-claims-3-gib": lambda: gzip.compress(_tar(claims=3 * GIB)),
    "file-claims-less-than-nothing": lambda: _tar(claims=0)[:124] + b"\xff" * 12 + bytes(1024),
    "device": lambda: _tar(claims=0, kind=tarfile.CHRTYPE),
    "pipe": lambda: _tar(claims=0, kind=tarfile.FIFOTYPE),
    "hard-link": lambda: _tar(claims=0, kind=tarfile.LNKTYPE),
    "bzip2-cut-short": lambda: bz2.compress(_tar(claims=9))[:-12],
    "xz-cut-short": lambda: lzma.compress(_tar(claims=9))[:60],
    "noise": lambda: b"\x1f\x8b\x08" + bytes(range(256)),
}


@pytest.mark.parametrize("name", TARS)
def test_tars_of_sources(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """A source archive is unpacked within its bounds, whatever its headers claim."""
    path = tmp_path / "source.tar"
    path.write_bytes(TARS[name]())
    _refused(record_property, f"tar: {name}", lambda: list(_from_archive(path)))


@pytest.mark.parametrize("name", ["extended-header-claims-3-gib", "noise", "file-claims-less-than-nothing"])
def test_tars_of_images(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """An exported image is inspected within the same bounds."""
    path = tmp_path / "image.tar"
    path.write_bytes(TARS[name]())
    _refused(record_property, f"image archive: {name}", lambda: _inspect(path, "sha256:0"))


def _write_zip(path: Path, name: str) -> None:
    if name == "200,000-junk-entries":
        one = _zip("junk/of-no-case-and-no-finding.txt")
        entry = one[one.index(b"PK\x01\x02") : -22]
        end = one[-22:-12] + struct.pack("<2H2L", 0xFFFF, 0xFFFF, 200_000 * len(entry), len(one) - 22 - len(entry))
        path.write_bytes(one[: -22 - len(entry)] + entry * 200_000 + end + bytes(2))
    elif name == "contents-of-3-gib":
        with path.open("wb") as file:
            file.write(b"PK\x03\x04")
            file.seek(3 * GIB)
            file.write(_with_contents_of(3 * GIB - 100))
    elif name == "contents-claimed-beyond-the-file":
        path.write_bytes(_with_contents_of(2**31))
    elif name == "cut-short":
        path.write_bytes(_zip("case_1/0.nii.gz")[:-10])
    elif name == "noise":
        path.write_bytes(b"PK" + bytes(range(256)) * 40)
    elif name == "no-mask-of-the-split":
        path.write_bytes(_zip("../../etc/passwd", "/etc/passwd", "a/\x1b[2J.nii.gz"))
    elif name == "entry-without-a-name":
        whole = _zip("a")
        place = whole.index(b"PK\x01\x02")  # its name becomes its comment
        path.write_bytes(whole[: place + 28] + bytes(4) + b"\x01" + whole[place + 33 :])
    else:
        path.write_bytes(b"")


def _xz_that_claims(size: int) -> bytes:
    """Return an xz file of a tar whose dictionary has so many bytes."""
    own = [{"id": lzma.FILTER_LZMA2, "dict_size": size, "preset": 0}]
    return lzma.compress(_tar(claims=9), filters=own)


@pytest.mark.parametrize("name", ["of-a-tar", "in-a-zip"])
def test_lzma_that_asks_for_memory(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """LZMA names the memory that unpacks it: beyond what `xz -9` needs it is refused, and in zips altogether."""
    path = tmp_path / "a"
    path.write_bytes(_xz_that_claims(2**28) if name == "of-a-tar" else _zip("a", method=zipfile.ZIP_LZMA))

    def read() -> None:
        if name == "of-a-tar":
            list(_from_archive(path))
        open_submission(path, ())

    words = "Memory usage limit" if name == "of-a-tar" else "LZMA"
    _refused(record_property, f"lzma: {name}", read, words=words)


@pytest.mark.parametrize(
    "name",
    [
        "200,000-junk-entries", "contents-of-3-gib", "contents-claimed-beyond-the-file", "cut-short", "noise",
        "no-mask-of-the-split", "entry-without-a-name", "empty",
    ],
)  # fmt: skip
def test_zips_of_masks(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """A submission's archive is listed within its bounds, or refused."""
    path = tmp_path / "masks.zip"
    _write_zip(path, name)
    _refused(record_property, f"zip: {name}", lambda: open_submission(path, ()))


def test_a_zip_of_masks_is_listed_once(tmp_path: Path, record_property: Recorder) -> None:
    """Reading every mask of an archive with 20,000 entries takes a multiple of its size, not the square."""
    from harness.masks import ZipMember, open_volume
    from harness.masks.verdict import Refused

    path = tmp_path / "masks.zip"
    path.write_bytes(_zip(*(f"case_{n}/0.nii.gz" for n in range(20_000)), content=b"none"))
    began = time.process_time()
    for n in range(500):
        with pytest.raises(Refused), open_volume(ZipMember(path, f"case_{n}/0.nii.gz"), limit=100):
            pass
    seconds = time.process_time() - began
    assert seconds < SECONDS
    record_property("attack", "zip: 20,000 entries, each read by itself")
    record_property("outcome", f"{seconds:.2f} s for 500 of them")


def test_a_bomb_in_a_zip_is_not_unpacked(tmp_path: Path, record_property: Recorder) -> None:
    """One entry of 512 MiB of zeros is read up to the bound of its reader."""
    from harness.foreign import content_of

    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open("a", "w") as file:
        for _ in range(128):
            file.write(bytes(2**22))

    def read() -> None:
        with open_zip(path) as packed, packed.open("a") as one:
            content_of(one, most=2**20)

    _refused(record_property, "zip: a bomb of 512 MiB", read, words="unpacks to more")


def test_a_tar_that_skips_counts_what_it_skips(tmp_path: Path, record_property: Recorder) -> None:
    """What lies between two headers is unpacked on the way, and counts."""
    path = tmp_path / "a.tar.gz"
    path.write_bytes(_of_zeros(2**27, tarfile.REGTYPE))

    def read() -> None:
        with open_tar(path, total=2**24) as tar:
            list(tar)

    _refused(record_property, "tar: 128 MiB to skip", read, words="unpacks to more")


def test_reports_that_unpack_without_end(tmp_path: Path, record_property: Recorder) -> None:
    """A CSV of reports in gzip is unpacked up to its bound; here a damaged one stands for all."""
    path = tmp_path / "reports.csv.gz"
    path.write_bytes(gzip.compress(b"id,findings,impressions\n" + bytes(2**20))[:-400])
    _refused(record_property, "gzip: reports cut short", lambda: read_reports(path), words="cannot be read")


def test_a_table_of_contents_has_a_bound() -> None:
    """The bound leaves room for the masks of every case of the data set, five each."""
    assert MOST_CONTENTS > 5 * 3_142 * (46 + 60)


# -- databases ---

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
RUN: dict[str, Any] = {
    "id": "r", "plan_key": "k", "attempt": 1, "kind": "measured", "plugin": "p", "title": "t", "plugin_version": "1",
    "variant": "v", "prompt": "text", "fine_tuned": False, "profile": "mlhc2025", "dataset": "d", "fingerprint": "f",
    "split": "test", "engine": "docker", "image_id": "i", "rankable": True, "unrankable": [], "state": "done",
    "created": "2026",
}  # fmt: skip

#: What is done to a results database that was right.
DATABASES: dict[str, str] = {
    "table-is-an-endless-view": f"DROP TABLE runs; CREATE VIEW runs AS {ENDLESS} SELECT i AS id FROM n",
    "another-view": f"CREATE VIEW more AS {ENDLESS} SELECT i FROM n",
    "trigger": "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END",
    "virtual-table": "CREATE VIRTUAL TABLE words USING fts5(a)",
    "json-nested-without-end": f"UPDATE runs SET record = '{'[' * 5_000}'",
    "json-with-a-number-of-29-digits": f"UPDATE runs SET plan = '[{'9' * 33}]'",
    "json-that-is-none": "UPDATE runs SET timing = 'nonsense'",
    "json-is-a-list": "UPDATE runs SET record = '[1]'",
    "json-is-a-blob": "UPDATE runs SET record = x'ff00'",
    "json-is-null": "UPDATE runs SET unrankable = NULL",
    "number-in-place-of-a-text": "UPDATE runs SET title = x'00'",
    "text-in-place-of-a-number": "UPDATE runs SET n_cases = 'many'",
    "text-that-is-not-utf-8": "UPDATE runs SET title = CAST(x'ff' AS TEXT)",
    "a-column-is-gone": "ALTER TABLE runs DROP COLUMN engine",
    "a-table-is-gone": "DROP TABLE runs",
    "table-of-another-kind": "DROP TABLE runs; CREATE TABLE runs (id, created); INSERT INTO runs VALUES (1, 2)",
}


@pytest.mark.parametrize("name", DATABASES)
def test_results_databases(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """A results database that groundbench never wrote so is refused, reading or writing, in bounded time."""
    path = tmp_path / "results.db"
    with Store(path) as store:
        store.save_run(RunRow(**RUN))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.executescript(DATABASES[name])

    def read() -> None:
        with Store(path, readonly=True) as store:
            store.runs()

    _refused(record_property, f"database: {name}", read)


def test_pages_of_a_database_that_are_noise(tmp_path: Path, record_property: Recorder) -> None:
    """Bytes of a database are turned over one after another: a message, or an answer."""
    path = tmp_path / "results.db"
    with Store(path) as store:
        store.save_run(RunRow(**RUN))
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 2_003):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) * 40 + whole[place + 40 :])
        try:
            with Store(path, readonly=True) as store:
                store.runs()
        except BenchError:
            refused += 1
    record_property("attack", "database: pages of noise")
    record_property("outcome", f"{refused} of {len(range(0, len(whole), 2_003))} refused, the others read")


@pytest.mark.parametrize("name", ["view", "noise", "cell"])
def test_memories_of_curation(name: str, tmp_path: Path, record_property: Recorder) -> None:
    """A work file of curation from elsewhere is refused, or its cell named."""
    path = tmp_path / "work.db"
    Work(path).__exit__(None, None, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        if name == "view":
            db.execute("DROP TABLE results")
            db.execute(f"CREATE VIEW results AS {ENDLESS} SELECT i AS key, i AS record, i AS reason FROM n")
        elif name == "cell":
            db.execute("INSERT INTO results (key, step, item, record, reason) VALUES ('k', 's', 'i', '{', '')")
    if name == "noise":
        path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 16)

    def read() -> None:
        with Work(path) as work:
            work.find("k")

    _refused(record_property, f"memory of curation: {name}", read, words="is not a work file")


def test_a_site_whose_database_does_not_end(tmp_path: Path, record_property: Recorder) -> None:
    """A database that is committed beside a site counts as none of a public one, at once."""
    path = tmp_path / "leaderboard.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"CREATE VIEW about AS {ENDLESS} SELECT i AS name, i AS value FROM n")
    began = time.process_time()
    assert not _is_published(path)
    assert time.process_time() - began < SECONDS
    record_property("attack", "site: its database is an endless view")
    record_property("outcome", "is not taken for a public one")


def test_an_index_of_many_splits_is_read_in_time(tmp_path: Path, record_property: Recorder) -> None:
    """A hundred thousand junk entries are each named, in time that grows with their number only."""
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps({"test": [{"name": f"{n}"} for n in range(20_000)]}), encoding="utf-8")
    began = time.process_time()
    index = read_index(path)
    seconds = time.process_time() - began
    assert len(index.faults["test"]) >= 20_000
    assert seconds < SECONDS
    record_property("attack", "json: an index of 20,000 junk entries")
    record_property("outcome", f"{seconds:.2f} s, every one named")
