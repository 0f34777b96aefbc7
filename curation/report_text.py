"""Read one report from a text file: its sections, and its lines as sentences were meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from curation.records import Report
from curation.reports import LONGEST, clean_text
from harness.errors import DataError, UsageError

#: Bytes of a file beyond which it is not read: a report has a few thousand.
_MOST_BYTES: Final = 4 * LONGEST

#: Headings of sections, as they begin a line; the rest of a report's headings belong to the text below them.
_FINDINGS: Final = r"findings?|ct findings?|report"
_IMPRESSIONS: Final = r"impressions?|conclusions?|opinion|summary"
_OTHERS: Final = (
    r"technique|procedure|protocol|contrast|comparisons?|history|indications?|exam(?:ination)?|clinical \w+(?: \w+)?|"
    r"reason for (?:the )?(?:exam(?:ination)?|study)|patient(?: \w+)?"
)
_HEADING = re.compile(
    rf"^[ \t*#]*(?:(?P<findings>{_FINDINGS})|(?P<impressions>{_IMPRESSIONS})|(?P<others>{_OTHERS}))"
    r"[ \t*]*(?::|$)[ \t*]*",
    re.IGNORECASE | re.MULTILINE,
)
_ITEM = re.compile(r"\s*(?:[-*·•\u2013]|\(?\d{1,2}[.)])\s+(?=[A-Z(])")

#: Longest line, in characters, that a program would wrap a text at.
_WIDEST: Final = 140


@dataclass(frozen=True)
class Section:
    """A section that holds neither findings nor an impression; its heading may be empty."""

    heading: str
    text: str


@dataclass(frozen=True)
class ReportText:
    """A report, and the sections beside it that no finding is read from."""

    report: Report
    others: tuple[Section, ...]


def read_report(path: Path, id_: str) -> ReportText:
    """Read a report from a text file.

    A section begins with its heading, as ``Findings:`` or ``IMPRESSION`` on a line of its own. Without the heading of
    the findings, what stands before the impression is the findings. Lines that were wrapped are joined.

    Parameters
    ----------
    path
        A file in UTF-8.
    id_
        Name of the report.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        It cannot be read, is not UTF-8 or too large, or has neither findings nor an impression.
    """
    parts: dict[str, list[str]] = {"findings": [], "impressions": []}
    others = []
    for kind, heading, text in _sections(_unwrapped(clean_text(_decode(path)))):
        if kind in parts:
            parts[kind].append(text)
        elif text.strip():
            others.append(Section(heading, text.strip()))
    sections = {kind: "\n".join(texts).strip() for kind, texts in parts.items()}
    if not any(re.search(r"\w", text) for text in sections.values()):
        raise DataError(f"{path} has no text of a report", fix="give a text file with its findings, as written")
    return ReportText(Report(id=id_, **sections), tuple(others))


def _decode(path: Path) -> str:
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= _MOST_BYTES else b""
    except FileNotFoundError as error:
        raise UsageError(f"the report {path} does not exist", fix="give the text file of one report") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="give the text file of one report") from error
    if size > _MOST_BYTES:
        raise DataError(
            f"{path} has {size:,} bytes; a report may have {_MOST_BYTES:,}", fix="give the text file of one report"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not text in UTF-8 (byte {error.start:,})",
            fix="save it as plain text in UTF-8; of a Word or PDF file, copy the text into such a file",
        ) from error


def _sections(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind (``findings``, ``impressions`` or another), heading and text of each section, in order."""
    headings = list(_HEADING.finditer(text))
    kinds = [str(match.lastgroup) for match in headings]
    begin = text[: headings[0].start()] if headings else text
    if begin.strip():
        # "CT of the chest, 12 May" before a section of findings is no finding.
        yield ("others" if "findings" in kinds else "findings"), "", begin
    ends = [*(match.start() for match in headings[1:]), len(text)]
    for match, kind, end in zip(headings, kinds, ends, strict=False):
        yield kind, match.group(kind), text[match.end() : end]


def _unwrapped(text: str) -> str:
    """Join the lines of a text that a program has wrapped: elsewhere a line break ends a sentence.

    What marks the items of a list goes: "1." would be a sentence of its own.
    """
    lines = text.split("\n")
    width = max((len(line.rstrip()) for line in lines), default=0)
    joined = lines[:1]
    for before, line in pairwise(lines):
        if _goes_on(before.rstrip(), line, width):
            joined[-1] = f"{joined[-1].rstrip()} {line.strip()}"
        else:
            joined.append(line)
    return "\n".join(_ITEM.sub("", line, count=1) if _ITEM.match(line) else line for line in joined)


def _goes_on(before: str, line: str, width: int) -> bool:
    """Return whether a line goes on with the sentence of the line before it."""
    if not before or not line.strip() or before[-1] in ".!?:" or _ITEM.match(line) or _HEADING.match(line):
        return False
    first = line.split(maxsplit=1)[0]
    full = width <= _WIDEST and len(before) + 1 + len(first) > width  # its first word had no room there
    return full or not first[0].isupper()
