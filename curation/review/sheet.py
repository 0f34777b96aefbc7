"""The sheet: a sample of reports with everything that the steps made of them, to be marked by a reviewer."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from curation.pipeline import read_records, write_text
from curation.records import CategorizedReport, ExtractedReport, Report, RewrittenReport
from curation.schema import CODES, REGION_OF
from harness.errors import UsageError
from harness.host.spreadsheets import harmless

#: Columns of the CSV file. What a reviewer fills in comes after ``sources``.
COLUMNS: Final = (
    "report", "row", "label", "text", "sources",
    "misclassified", "descriptor", "false_positive", "right_category", "missed_step1", "missed_step2", "done", "note",
)  # fmt: skip

CSV: Final = "review.csv"
HTML: Final = "review.html"


def choose(ids: Sequence[str], n: int, seed: int) -> list[str]:
    """Return `n` of the reports: the same for the same reports and seed, whatever their order."""

    def rank(name: str) -> bytes:
        return hashlib.sha256(f"{seed}\0{name}".encode()).digest()

    return sorted(ids, key=rank)[:n]


def make_sheet(run: Path, out: Path, *, n: int, seed: int) -> int:
    """Write ``review.html`` (which opens from the disk, alone) and ``review.csv`` beside it.

    Parameters
    ----------
    run
        Folder of ``bench curate run``.
    out
        Folder to write.
    n, seed
        How many reports to draw, and how.

    Returns
    -------
    int
        The number of reports drawn: all, where there are fewer than `n`.

    Raises
    ------
    UsageError
        `out` holds a sheet already, which may be filled in.
    """
    if (out / CSV).exists():
        raise UsageError(f"{out / CSV} is there already, and may be filled in", fix="name another folder")
    reports: dict[str, Report] = {r.id: r for r in read_records(run / "reports.jsonl", Report)}
    rewritten: dict[str, RewrittenReport] = {r.id: r for r in read_records(run / "rewrite.jsonl", RewrittenReport)}
    extracted: dict[str, ExtractedReport] = {r.id: r for r in read_records(run / "extract.jsonl", ExtractedReport)}
    categorized: dict[str, CategorizedReport] = {
        r.id: r for r in read_records(run / "categorize.jsonl", CategorizedReport)
    }
    usable = [name for name in reports if name in rewritten and name in extracted and name in categorized]
    chosen = choose(usable, n, seed)
    rows = [row for name in chosen for row in _rows(name, rewritten[name], extracted[name], categorized[name])]
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows({name: harmless(cell) for name, cell in row.items()} for row in rows)
    texts = {name: {"findings": reports[name].findings, "impressions": reports[name].impressions} for name in chosen}
    data = {"columns": COLUMNS, "rows": rows, "reports": texts, "categories": dict(CODES)}
    write_text(out / HTML, page(data))
    write_text(out / CSV, "\N{BYTE ORDER MARK}" + stream.getvalue())  # the mark lets spreadsheets recognise UTF-8
    return len(chosen)


def _rows(
    name: str, rewritten: RewrittenReport, extracted: ExtractedReport, categorized: CategorizedReport
) -> Iterator[dict[str, str]]:
    for letter, lines in rewritten.regions.items():
        for n, line in enumerate(lines):
            sources = " ".join(line.sources)
            yield {
                "report": name,
                "row": f"{letter}{n}",
                "label": REGION_OF[letter],
                "text": line.text,
                "sources": sources,
            }
    categories = {finding.text: finding.category for finding in categorized.findings}
    for n, phrase in enumerate(extracted.phrases, start=1):
        if phrase.abnormal:
            yield {
                "report": name,
                "row": f"S{n}",
                "label": categories[phrase.text],
                "text": phrase.text,
                "sources": " ".join(phrase.codes),
            }
    yield {"report": name, "row": "report", "text": "the whole report: what was missed, and whether the review is done"}


def page(data: dict[str, Any]) -> str:
    """Return the sheet as one HTML file; the texts can hold anything.

    A browser keeps the marks under the digest of `data`, so that those of another sheet, of the same reports too, are
    never shown on this one.
    """
    text = resources.files(__package__).joinpath("sheet.html").read_text(encoding="utf-8")
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    safe = json.dumps(data | {"digest": digest}, ensure_ascii=False).replace("<", "\\u003c")
    return text.replace("__DATA__", safe.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
