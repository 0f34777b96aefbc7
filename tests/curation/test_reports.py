"""Bad files of reports: every fault is reported with its row, nothing is lost, the rest is read."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from curation.reports import LONGEST, describe_problems, read_reports
from harness.errors import BenchError, DataError, UsageError

HEADER = ("VolumeName", "Findings_EN", "Impressions_EN")


def write(path: Path, *rows: tuple[str, ...], encoding: str = "utf-8", header: tuple[str, ...] = HEADER) -> Path:
    """Write a CSV file."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([header, *rows])
    path.write_bytes(stream.getvalue().encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1254"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    """UTF-8 with and without a mark, UTF-16 and Windows-1254 are read without being told."""
    read = read_reports(write(tmp_path / "r.csv", ("a_1_a", "Nodül sağda, 5 mm.", "şüpheli"), encoding=encoding))
    assert read.reports[0].findings == "Nodül sağda, 5 mm."


def test_gzip_and_other_separators(tmp_path: Path) -> None:
    """Compressed files, and semicolons, are read as well."""
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(b"VolumeName;Findings_EN;Impressions_EN\nx_1_a.nii.gz;A nodule, small.;None\n"))
    (report,) = read_reports(path).reports
    assert (report.id, report.findings, report.impressions) == ("x_1_a", "A nodule, small.", "")


def test_a_separator_that_a_spreadsheet_names(tmp_path: Path) -> None:
    """The first line of some spreadsheets is no header; cells may be separated by bars."""
    path = tmp_path / "r.csv"
    path.write_bytes(b"sep=|\r\nid|findings|impressions\r\nx|A nodule.|\r\n")
    assert [report.findings for report in read_reports(path).reports] == ["A nodule."]


def test_rows_with_faults(tmp_path: Path) -> None:
    """Ids missing, twice or no file names, short rows, texts too long: set aside by row; all others go on."""
    path = write(
        tmp_path / "r.csv",
        ("a", "Nodule.", ""),
        ("a", "Nodule.", ""),
        ("a", "Mass.", ""),
        ("", "Nodule.", ""),
        ("../x", "Nodule.", ""),
        ("b", "Nodule."),
        ("c", "x" * (LONGEST + 1), ""),
        ("d", "Not Given", "Not given."),
        ("e", "<p>A <b>nodule</b> &lt;5 mm.<br>A cyst.</p>", "nodule <9 mm"),
        ("f", "Bulla\x00.", ""),
        ("g", "", "Emphysema."),
    )
    read = read_reports(path)
    assert [report.id for report in read.reports] == ["a", "d", "e", "f", "g"]
    assert {problem.row for problem in read.problems if problem.lost} == {3, 4, 5, 6, 7, 8}
    by_id = {report.id: report for report in read.reports}
    assert by_id["e"].findings.split("\n")[0].strip() == "A  nodule  <5 mm."
    assert by_id["e"].impressions == "nodule <9 mm"
    assert by_id["d"].findings == by_id["d"].impressions == ""
    told = "\n".join(describe_problems(read.problems))
    assert "another text" in told
    assert "the same text" in told
    assert "HTML" in told


def test_a_quotation_mark_that_is_not_closed(tmp_path: Path) -> None:
    """It swallows the rows below it, so the row that is set aside says how many lines it spans."""
    path = tmp_path / "r.csv"
    path.write_text('id,findings,impressions\na,Nodule,\nb,"Mass,\nc,Bulla,\n')
    read = read_reports(path)
    assert [report.id for report in read.reports] == ["a"]
    assert "spans 3 lines" in read.problems[0].what


@pytest.mark.costly
def test_a_report_of_ten_megabytes(tmp_path: Path) -> None:
    """An enormous report is named by its row and costs nothing more."""
    read = read_reports(write(tmp_path / "r.csv", ("a", "word " * 2_000_000, ""), ("b", "Nodule.", "")))
    assert [report.id for report in read.reports] == ["b"]
    assert "10,000,000 characters" in read.problems[0].what


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", DataError),
        (b"VolumeName,Findings_EN\nx,y\n", DataError),
        (b"VolumeName,Findings_EN,Impressions_EN\n", DataError),
        (b"id,id,findings,impressions\n1,2,3,4\n", DataError),
        (b"\x1f\x8bnot gzip", DataError),
        ("id,findings,impressions\n1,Nodule,\n".encode("utf-16-le"), DataError),
        (b'[{"id": "1", "findings": "Nodule", "impressions": ""}]', DataError),
        (b"PK\x03\x04 a workbook", DataError),
        (b"id,findings,impressions\na/../b,Nodule,\n", DataError),
    ],
)
def test_files_that_are_no_reports(tmp_path: Path, content: bytes, error: type[BenchError]) -> None:
    """A file without header, columns or rows is refused with what to do."""
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(error) as refusal:
        read_reports(path)
    assert refusal.value.fix


def test_columns_by_name(tmp_path: Path) -> None:
    """Any column can be named; a wrong name gets its neighbours."""
    path = write(tmp_path / "r.csv", ("1", "t", "s"), header=("key", "text", "short"))
    columns = {"id": "key", "findings": "text", "impressions": "short"}
    assert read_reports(path, columns=columns).reports[0].findings == "t"
    with pytest.raises(UsageError, match="txt") as refusal:
        read_reports(path, columns=columns | {"findings": "txt"})
    assert "text" in refusal.value.fix


def test_missing_file_and_wrong_encoding(tmp_path: Path) -> None:
    """A missing file and an unknown encoding are the user's to cure."""
    with pytest.raises(UsageError):
        read_reports(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="encoding"):
        read_reports(write(tmp_path / "r.csv", ("a", "b", "c")), encoding="klingon")
