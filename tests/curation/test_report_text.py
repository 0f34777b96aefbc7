"""A report in a text file: its sections are found, wrapped lines are joined, and what is no report is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.report_text import Section, read_report
from harness.errors import DataError, UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report.txt"


def test_sections_by_their_headings(file: Path) -> None:
    """Findings and impression are the report; what else has a heading is kept apart, under its name."""
    file.write_text(
        "CT of the chest\n\nIndication: cough, known nodule.\nTECHNIQUE\nLow dose.\n\n"
        "FINDINGS:\nA 6 mm nodule in the right lower lobe.\nLiver: normal.\n\n**Impression:** Nodule.\n"
    )
    found = read_report(file, "case")
    assert found.report.findings == "A 6 mm nodule in the right lower lobe.\nLiver: normal."
    assert found.report.impressions == "Nodule."
    assert found.others == (
        Section("", "CT of the chest"),
        Section("Indication", "cough, known nodule."),
        Section("TECHNIQUE", "Low dose."),
    )


@pytest.mark.parametrize(
    "text", ["Nodule on the left.\nImpression: stable.", "Findings: Nodule on the left.\nConclusion: stable."]
)
def test_what_stands_before_the_impression_is_the_findings(text: str, file: Path) -> None:
    """Without a heading of its own the text before the impression is the findings."""
    file.write_text(text)
    found = read_report(file, "case")
    assert (found.report.findings, found.report.impressions, found.others) == ("Nodule on the left.", "stable.", ())


def test_wrapped_lines_are_joined(file: Path) -> None:
    """A line goes on where its next word had no room, or the next line begins small; a list stays a list."""
    file.write_text(
        "There are nodules in both lungs, the largest measuring\n"
        "9x5x6 mm. Effusion on the left with a depth of\n"
        "2 cm. Calcified plaques of the pleura beside the\n"
        "Heart.\n"
        "Impression:\n1. Nodules in both lungs\n2. Effusion\n- Plaques\nBronchiectasis\n"
    )
    report = read_report(file, "case").report
    assert report.findings == (
        "There are nodules in both lungs, the largest measuring 9x5x6 mm. Effusion on the left with a depth of 2 cm. "
        "Calcified plaques of the pleura beside the Heart."
    )
    assert report.impressions.split("\n") == ["Nodules in both lungs", "Effusion", "Plaques", "Bronchiectasis"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no text"),
        (b" \n\t\n", "no text"),
        (b"Findings:\nImpression:\n", "no text"),
        ("Yoğun buzlu cam".encode("cp1254"), "UTF-8"),
        (b"a" * 500_000, "bytes"),
    ],
)
def test_what_is_no_report_is_refused(content: bytes, says: str, file: Path) -> None:
    """Empty, in another encoding, or too long: data that are wrong, told with what to do."""
    file.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_report(file, "case")
    assert caught.value.fix


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    """A wrong path is a wrong option; a folder cannot be read."""
    with pytest.raises(UsageError, match="does not exist"):
        read_report(tmp_path / "none.txt", "case")
    with pytest.raises(DataError, match="cannot be read"):
        read_report(tmp_path, "case")


def test_a_byte_order_mark_and_html_go(file: Path) -> None:
    """What an editor or a web page leaves in a text is not part of the report."""
    file.write_bytes(b"\xef\xbb\xbfNodule<br>On the left &amp; right.")
    assert read_report(file, "case").report.findings == "Nodule\nOn the left & right."
