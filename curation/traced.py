"""Follow each sentence of a report through the steps: to its findings, or to why nothing of it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curation.pipeline import read_records
from curation.records import (
    CategorizedFinding,
    CategorizedReport,
    ExtractedReport,
    RewrittenReport,
    SelectedReport,
    SplitReport,
)

#: Why a sentence leads to no finding, where no step has said so in words of its own.
NORMAL = "it describes nothing abnormal"
NOTHING = "no finding was read from it"


@dataclass(frozen=True)
class Aside:
    """A part of a sentence that is not drawn, and why; an empty text is all of it."""

    text: str
    reason: str


@dataclass(frozen=True)
class Sentence:
    """One sentence of a report and what became of it.

    Attributes
    ----------
    code
        ``F0``, ``F1``, … in the findings, ``I0``, … in the impression.
    text
        As the report has it.
    findings
        Places of its findings among :attr:`Traced.findings`.
    aside
        What of it is not drawn.
    """

    code: str
    text: str
    findings: tuple[int, ...]
    aside: tuple[Aside, ...]


@dataclass(frozen=True)
class Traced:
    """A report: its sentences in order, and the findings that are drawn."""

    sentences: tuple[Sentence, ...]
    findings: tuple[CategorizedFinding, ...]


def read_traced(folder: Path) -> Traced:
    """Follow the only report in a folder that :func:`curation.pipeline.run_all` has written, none of it set aside.

    Raises
    ------
    UsageError, DataError
        A file is missing or not valid.
    """
    [split] = read_records(folder / "split.jsonl", SplitReport)
    [rewritten] = read_records(folder / "rewrite.jsonl", RewrittenReport)
    [extracted] = read_records(folder / "extract.jsonl", ExtractedReport)
    [categorized] = read_records(folder / "categorize.jsonl", CategorizedReport)
    names = ("select.jsonl", "not_selected.jsonl")
    [selected] = [report for name in names for report in read_records(folder / name, SelectedReport)]
    return trace(split, rewritten, extracted, categorized, selected)


def trace(
    split: SplitReport,
    rewritten: RewrittenReport,
    extracted: ExtractedReport,
    categorized: CategorizedReport,
    selected: SelectedReport,
) -> Traced:
    """Follow each sentence of one report through what the steps have made of it."""
    lines: dict[str, set[str]] = {}  # sentence of the report -> those of the rewritten one that restate it
    for letter, restated in {**rewritten.regions, "I": rewritten.impressions}.items():
        for number, line in enumerate(restated):
            for source in line.sources:
                lines.setdefault(source, set()).add(f"{letter}{number}")
    dropped = {item.source: item.reason for item in rewritten.dropped}
    excluded = {item.text: item.reason for item in selected.excluded}

    def followed() -> Iterator[Sentence]:
        for code, text in split.coded().items():
            mine = lines.get(code, set())
            findings = tuple(n for n, finding in enumerate(selected.findings) if mine & set(finding.codes))
            aside = [
                Aside(finding.text, excluded[finding.text])
                for finding in categorized.findings
                if mine & set(finding.codes) and finding.text in excluded
            ]
            if not findings and not aside:
                said = any(mine & set(phrase.codes) for phrase in extracted.phrases)
                why = NORMAL if said else NOTHING
                aside = [Aside("", why if mine else dropped.get(code, NOTHING))]
            yield Sentence(code, text, findings, tuple(aside))

    return Traced(tuple(followed()), selected.findings)
