"""All steps in order, and the files they leave in a folder."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError

from curation.records import Record, Report, SelectedReport
from curation.schema import CODES
from curation.steps import categorize, extract, rewrite, select, split
from curation.steps.select import choose_scans
from curation.steps.step import Step
from curation.work import Outcome, Work
from harness.categories import CATEGORIES, is_focal
from harness.dataset.summary import GROUPS
from harness.errors import DataError, UsageError

#: The steps in their order.
STEPS: Final[Mapping[str, Step[Any, Any]]] = {
    module.STEP.name: module.STEP for module in (split, rewrite, extract, categorize, select)
}

MEMORY: Final = "work.db"
TO_REVIEW: Final = "to_review.jsonl"
SURE: Final = 0.6  # score below which most categories of the offline classifier are wrong (docs/benchmarks/curation.md)


class Method(Protocol):
    """Performs the steps: rules, or a language model."""

    @property
    def model(self) -> str:
        """Its name; ``"none"`` for rules."""

    def do(
        self, step: Step[Any, Any], items: Sequence[tuple[str, Record]], work: Work, tick: Callable[[int], None]
    ) -> Iterator[Outcome]:
        """Yield the outcome of every item, in order, calling `tick` as they are done."""


@dataclass(frozen=True)
class SetAside:
    """An item that did not get through a step."""

    id: str
    step: str
    reason: str


@dataclass
class Summary:
    """What a run of the pipeline did."""

    reports: int = 0
    seconds: dict[str, float] = field(default_factory=dict)  #: step -> wall time
    models: dict[str, str] = field(default_factory=dict)  #: step that a model can do -> who did it; "none": rules
    set_aside: list[SetAside] = field(default_factory=list)
    sentences: int = 0
    phrases: int = 0
    abnormal: int = 0
    scans: int = 0  #: with at least one finding to annotate
    counts: dict[str, int] = field(default_factory=dict)  #: category -> findings to annotate
    all_counts: dict[str, int] = field(default_factory=dict)  #: category -> findings, annotated or not
    excluded: dict[str, int] = field(default_factory=dict)  #: reason -> findings

    @property
    def rate(self) -> float:
        """Reports a second over all steps."""
        return self.reports / max(1e-9, sum(self.seconds.values()))

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for a JSON document; without times, so that the same run gives the same bytes."""
        findings = sum(self.counts.values())
        return {
            "schema": 1,
            "models": self.models,
            "reports": self.reports,
            "sentences": self.sentences,
            "phrases": self.phrases,
            "abnormal": self.abnormal,
            "findings_by_category": self.all_counts,
            "scans": self.scans,
            "findings": findings,
            "table3": [
                {
                    "code": code,
                    "group": GROUPS[is_focal(code)],
                    "name": name,
                    "count": self.counts.get(code, 0),
                    "percent": round(100 * self.counts.get(code, 0) / findings, 1) if findings else 0.0,
                }
                for code, name in CATEGORIES.items()
            ],
            "excluded": self.excluded,
            "set_aside": len(self.set_aside),
        }


def run_step(
    step: Step[Any, Any],
    records: Sequence[Record],
    method: Method,
    work: Work,
    tick: Callable[[int], None] = lambda _: None,
) -> tuple[list[Record], list[SetAside]]:
    """Run one step on all records; return the results in order, and the items set aside with their reasons."""
    items = [(str(getattr(record, "id", "")), record) for record in records]
    done, aside = [], []
    for (item, record), outcome in zip(items, method.do(step, items, work, tick), strict=True):
        if outcome.record is None:
            aside.append(SetAside(item, step.name, outcome.reason))
        else:
            try:
                result = step.result.model_validate(outcome.record)
            except ValidationError as error:  # of a file of earlier outcomes that somebody changed
                aside.append(
                    SetAside(item, step.name, f"its earlier outcome is no {step.result.__name__}: {error}"[:500])
                )
                continue
            done.append(result.model_copy(update={"report_sha256": getattr(record, "report_sha256", None)}))
    return done, aside


def run_all(
    reports: Sequence[Report],
    out: Path,
    *,
    method_of: Callable[[Step[Any, Any]], Method],
    work: Work,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Summary:
    """Take reports through every step and write ``<step>.jsonl``, ``set_aside.jsonl`` and ``summary.json`` into `out`.

    Scans that are not selected stand in ``not_selected.jsonl``, with the reason of each of their findings; selected
    findings that a person should look at first, in ``to_review.jsonl``.

    Parameters
    ----------
    reports
        In any order; results keep it, but for the selected scans, which come by id.
    out
        Folder; its files are replaced one by one, each atomically.
    method_of
        Returns what performs a step.
    work
        Outcomes of earlier runs.
    progress
        Called with the step, how many items are done, and of how many.
    """
    summary = Summary(reports=len(reports))
    records: list[Record] = list(reports)
    write_records(out / "reports.jsonl", records)
    for step in STEPS.values():
        began = time.monotonic()
        done = 0

        def tick(n: int, step: Step[Any, Any] = step, total: int = len(records)) -> None:
            nonlocal done
            done += n
            progress(step.name, done, total)

        method = method_of(step)
        if step.question is not None:
            summary.models[step.name] = method.model
        records, aside = run_step(step, records, method, work, tick)
        summary.seconds[step.name] = time.monotonic() - began
        summary.set_aside += aside
        _count(summary, step.name, records)
        if step.name == "select":
            everything = [record for record in records if isinstance(record, SelectedReport)]
            selected = choose_scans(everything)
            chosen = {record.id for record in selected}
            write_records(out / "not_selected.jsonl", [record for record in everything if record.id not in chosen])
            records = list(selected)
            write_lines(out / TO_REVIEW, (json.dumps(row, ensure_ascii=False) for row in _to_review(selected)))
            _count_scans(summary, records)
        write_records(out / f"{step.name}.jsonl", records)
    rows = [{"id": item.id, "step": item.step, "reason": item.reason} for item in summary.set_aside]
    write_lines(out / "set_aside.jsonl", (json.dumps(row, ensure_ascii=False) for row in rows))
    write_text(out / "summary.json", json.dumps(summary.as_dict(), indent=1, ensure_ascii=False) + "\n")
    return summary


def _to_review(reports: Iterable[SelectedReport]) -> Iterator[dict[str, Any]]:
    """Yield the selected findings that a person should look at before anybody draws them, and why."""
    for report in reports:
        for finding in report.findings:
            unsure = finding.score is not None and finding.score < SURE
            reasons = ["its category is uncertain"] if unsure else []
            reasons += ["the report leaves open whether it is there"] if finding.uncertain else []
            if reasons:
                yield {
                    "id": report.id,
                    "text": finding.text,
                    "category": finding.category,
                    "score": finding.score,
                    "reasons": reasons,
                }


def _count(summary: Summary, step: str, records: Iterable[Any]) -> None:
    if step == "split":
        summary.sentences = sum(len(record.findings) + len(record.impressions) for record in records)
    elif step == "extract":
        summary.phrases = sum(len(record.phrases) for record in records)
        summary.abnormal = sum(phrase.abnormal for record in records for phrase in record.phrases)
    elif step == "categorize":
        counts = Counter(finding.category for record in records for finding in record.findings)
        summary.all_counts = {code: counts[code] for code in CODES if counts[code]}
    elif step == "select":
        reasons = Counter(item.reason.split(" (")[0] for record in records for item in record.excluded)
        summary.excluded = dict(sorted(reasons.items()))


def _count_scans(summary: Summary, records: Iterable[Any]) -> None:
    counts = Counter(finding.category for record in records for finding in record.findings)
    summary.scans = sum(1 for record in records if record.findings)
    summary.counts = {code: counts[code] for code in CATEGORIES if counts[code]}


def write_text(path: Path, text: str) -> None:
    """Write a file at once: under another name first, renamed when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines at once, as :func:`write_text`."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines."""
    write_lines(path, (record.model_dump_json() for record in records))


def read_records(path: Path, kind: type[Record]) -> list[Any]:
    """Read what :func:`write_records` wrote.

    Raises
    ------
    UsageError
        The file does not exist.
    DataError
        A line is not a valid record; the message gives its number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist", fix="give the output of the step before") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", fix="give the output of the step before") from error
    records = []
    # Not splitlines(), which cuts at characters that JSON allows inside a text (U+2028, U+0085, …).
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        try:
            records.append(kind.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "record"
            what = f"{path}, line {number}: {where}: {first['msg']}"
            raise DataError(
                what, fix=f"give a file of {kind.__name__} records, as the step before writes it"
            ) from error
    return records
