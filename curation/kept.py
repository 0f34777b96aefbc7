"""What a data set keeps of the reports that it is made of: facts beside each finding, and all phrases of each report.

What is not known, because a task or a file was written by an earlier version, is left out of an index, never denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from curation.annotation.tasks import Task, TaskFinding
from curation.pipeline import read_records
from curation.records import CategorizedReport, ExtractedReport
from curation.schema import REGION_OF

#: The phrases of every report, beside the index; the release has a file of this name.
REPORTS: Final = "reports_dataset.json"


@dataclass(frozen=True)
class Curated:
    """The phrases of reports, and the categories of the abnormal ones, by the digest of the report."""

    extracted: Mapping[str, ExtractedReport]
    categorized: Mapping[str, CategorizedReport]


def read_curated(folder: Path) -> Curated:
    """Read the phrases of a folder of ``bench curate run``.

    Raises
    ------
    UsageError, DataError
        Its ``extract.jsonl`` or ``categorize.jsonl`` is missing, or has faults.
    """
    return Curated(
        _by_digest(read_records(folder / "extract.jsonl", ExtractedReport)),
        _by_digest(read_records(folder / "categorize.jsonl", CategorizedReport)),
    )


def _by_digest(reports: Iterable[Any]) -> dict[str, Any]:
    return {report.report_sha256: report for report in reports if report.report_sha256}


def facts_of(task: Task, findings: Sequence[TaskFinding]) -> dict[str, Any]:
    """Return what the index says of a case beside its masks, by channel; only what is known.

    Parameters
    ----------
    task
        The case.
    findings
        Those of its findings that have a mask; finding n is channel n.
    """
    numbered = {str(n): finding for n, finding in enumerate(findings)}
    known = {
        "sentence_codes": {key: list(finding.codes) for key, finding in numbered.items() if finding.codes is not None},
        "regions": {key: region for key, finding in numbered.items() if (region := region_of_codes(finding.codes))},
        "prior": {key: finding.prior for key, finding in numbered.items() if finding.prior is not None},
        "report_sha256": task.report_sha256,
    }
    return {name: value for name, value in known.items() if value}


def region_of_codes(codes: Sequence[str] | None) -> str | None:
    """Return the region of the first sentence in the findings; None where only the impression says it."""
    return next((REGION_OF[code[0]] for code in codes or () if code[0] in REGION_OF), None)


def phrases_of(entry: Mapping[str, Any], curated: Curated) -> dict[str, Any] | None:
    """Return every phrase of a case's report in the form of the index: normal ones, and those of other organs, too.

    Parameters
    ----------
    entry
        The case as the index has it.
    curated
        The phrases of all reports.

    Returns
    -------
    dict or None
        ``name``, ``report_sha256``; and by the number of the phrase ``findings``, ``sentence_codes``, ``regions``,
        ``prior``, ``abnormal``, ``categories`` (of abnormal ones), and ``channels`` (of those with a mask). None where
        nothing is known of the report.
    """
    extracted = curated.extracted.get(entry.get("report_sha256", ""))
    if extracted is None:
        return None
    categorized = curated.categorized.get(entry["report_sha256"])
    codes = iter([finding.category for finding in categorized.findings] if categorized else [])
    phrases = {str(n): phrase for n, phrase in enumerate(extracted.phrases)}
    regions = {key: region_of_codes(phrase.codes) for key, phrase in phrases.items()}
    categories = {key: next(codes, None) for key, phrase in phrases.items() if phrase.abnormal}
    channels = {text: int(channel) for channel, text in entry["findings"].items()}
    return {
        "name": entry["name"],
        "report_sha256": entry["report_sha256"],
        "findings": {key: phrase.text for key, phrase in phrases.items()},
        "sentence_codes": {key: list(phrase.codes) for key, phrase in phrases.items()},
        "regions": {key: region for key, region in regions.items() if region},
        "prior": {key: phrase.prior for key, phrase in phrases.items()},
        "abnormal": {key: phrase.abnormal for key, phrase in phrases.items()},
        "categories": {key: code for key, code in categories.items() if code},
        "channels": {key: channels[phrase.text] for key, phrase in phrases.items() if phrase.text in channels},
    }
