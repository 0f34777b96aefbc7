"""Texts that no radiologist wrote: every function that reads a text takes each of them in time, or refuses it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import curation.classifier
import curation.steps
import curation.text
from curation.offline import Rules
from curation.records import Report
from curation.report_text import read_report
from curation.reports import clean_text, describe_problems, read_reports
from curation.steps import categorize, extract, rewrite, select, split
from curation.steps.select import natural
from curation.text import bounded
from curation.work import Work
from harness.cli.tables import printable
from harness.errors import BenchError
from harness.masks.formats import stem_of, suffix_of
from harness.redaction import redacted
from harness.registry.licences import commercial_use, may_be_passed_on
from harness.submissions.report import escaped
from harness.submissions.text_files import plain, shown
from leaderboard.pages.page import brief, file_name
from leaderboard.published.privacy import hidden_text


def _slowness() -> float:
    """Return how much longer this machine searches a text than one of 2025 does: 1 for one as fast."""
    text = "word in the left upper lobe, " * 20_000
    taken = []
    for _ in range(3):
        began = time.thread_time()
        re.findall(r"\b(?:no|not|left|right)\b|\w+(?=,)", text)
        taken.append(time.thread_time() - began)
    return max(1.0, min(taken) / 0.03)


#: What a text may take, on a machine of today; on a slower one as much more as it is slower.
SECONDS = 0.1 * _slowness()
LONG = 20_000

#: What is repeated to fill a text.
PATTERNS = {
    "blanks": " ", "line-breaks": "\n", "tabs-and-breaks": "\t \n", "next-lines": "\x85", "letters": "a", "digits": "9",
    "full-stops": ". ", "dots": ".", "commas": "a, ", "semicolons": "; nodule", "open-parentheses": "(",
    "parentheses": "()", "angle-brackets": "<", "tags": "<p ", "quotes": '"', "stars": "*", "hyphens": "-",
    "dashes": " - ", "slashes": "a/", "words": "nodule ", "one-word": "word", "conjunctions": "nodule and ",
    "prepositions": "nodule with ", "verbs": "is are was were ", "negations": "no ", "denials": "no lesion in the ",
    "not": "not a b ", "sides": "right and left ", "places": "in the right upper lobe of the lung ",
    "suspicion": "suspicious for nodule ", "segments": "apical and ", "ordinals": "7. and 8. ", "capitals": "NODULE. ",
    "products": "3 x ", "products-without-blanks": "3x3x", "sizes": "3 mm ", "decimal-commas": "3,",
    "initials": "Dr. A. ", "dates": "12.12.", "addresses": "a@", "abbreviations": "a.", "covid": "covid",
    "accents": "a\u0301", "capital-i-with-dot": "\u0130", "sharp-s": "\u00df",
    "scars": "fibrotic parenchymal scarring ",
    "described-elsewhere": "which are described separately in ", "absence": "absence of the ",
    "headings": "findings ", "bullets": "\u00b7 ", "entities": "&amp;", "questions": "nodule? ",
    "effusions": "pleural effusion or thickening, ", "lymph-nodes": "lymph nodes with a short axis of 3 mm ",
    "blanks-between-letters": " " * 999 + "x", "a-tail": "scarring which ", "turned": "\u202e",
}  # fmt: skip

#: Functions of the harness and the board that are handed names and texts of strangers.
_OF_THE_HARNESS: tuple[Callable[[str], object], ...] = (
    redacted, printable, plain, shown, escaped, commercial_use, may_be_passed_on, brief, file_name, hidden_text,
    natural, suffix_of, stem_of,
)  # fmt: skip

_TEXTS = ("str", "list[str]", "Sequence[str]", "Iterable[str]")


def _readers() -> Iterator[tuple[str, Callable[..., Any], int]]:
    """Yield name, function and number of texts of every public function that takes nothing but texts."""
    for package in (curation.text, curation.classifier, curation.steps):
        for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(info.name)
            for name, function in vars(module).items():
                inner = inspect.unwrap(function) if callable(function) else None
                if name.startswith("_") or not inspect.isfunction(inner) or inner.__module__ != info.name:
                    continue
                needed = [one for one in inspect.signature(inner).parameters.values() if one.default is one.empty]
                if needed and all(one.annotation in _TEXTS for one in needed):
                    yield f"{info.name}.{name}", function, [one.annotation == "str" for one in needed]  # type: ignore[misc]


READERS = list(_readers())
READERS += [(f"{one.__module__}.{one.__name__}", one, [True]) for one in _OF_THE_HARNESS]  # type: ignore[list-item]
_OWN = {
    "curation.classifier.model.parse",  # our weights
    "curation.classifier.quality.measure",  # codes
    "curation.steps.select.why_not",  # takes a category
}


def test_the_readers_are_found() -> None:
    """Those that are known to have been slow are among them."""
    names = {name for name, _, _ in READERS}
    assert {"curation.text.clauses.phrases_of", "curation.text.sentences.split_sentences"} <= names
    assert {"curation.classifier.features.features", "curation.text.measurements.numbers"} <= names
    assert len(names) > 50


@pytest.mark.parametrize("name", PATTERNS)
def test_a_text_takes_no_time(name: str, record_property: Callable[[str, object], None]) -> None:
    """At its full length and at the longest that is read as one sentence, each function answers or refuses in time."""
    record_property("attack", f"text: {name}")
    worst = (0.0, "")
    for length in (LONG, bounded.LONGEST - 1):
        text = (PATTERNS[name] * length)[:length]
        for reader, function, kinds in READERS:
            if reader in _OWN:
                continue
            fastest = SECONDS * 10
            for _ in range(3):  # a machine that does something else is not the function's
                began = time.thread_time()
                with contextlib.suppress(BenchError):
                    function(*(text if plain else [text] for plain in kinds))  # type: ignore[attr-defined]
                fastest = min(fastest, time.thread_time() - began)
                if fastest < SECONDS:
                    break
            worst = max(worst, (fastest, reader))
            assert fastest < SECONDS, reader
    record_property("outcome", f"at most {worst[0] * 1000:.0f} ms: {worst[1].removeprefix('curation.')}")


#: Reports that stopped a whole curation once; each is set aside with its reason, and its neighbour goes on.
REPORTS = {
    "a number of 29 digits": f"A nodule of {'9' * 29} mm in the right upper lobe.",
    "a number of 29 digits after the point": f"A nodule of 3.{'9' * 29} mm in the right upper lobe.",
    "a sentence of 20,001 characters": "nodule " * 2_857 + "ab",
    "a sentence of 2,001 characters": "a" * 2_001,
    "5,000 commas": "nodule, " * 240,
    "99,999 open parentheses": "(" * 99_999,
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_set_aside_alone(name: str, tmp_path: Any, record_property: Callable[[str, object], None]) -> None:
    """Whatever the rules raise for one report is that report's; the one before and the one after go on."""
    record_property("attack", f"report: {name}")
    good = "There is a nodule of 5 mm in the right upper lobe."
    records: Any = [Report(id=f"r{n}", findings=REPORTS[name] if n == 1 else good, impressions="") for n in range(3)]
    reasons = []
    began = time.thread_time()
    with Work(tmp_path / "work.db") as work:
        for module in (split, rewrite, extract, categorize, select):
            outcomes = list(Rules().do(module.STEP, [(one.id, one) for one in records], work, lambda _: None))
            reasons += [outcome.reason for outcome in outcomes if outcome.record is None]
            kept = [outcome.record for outcome in outcomes if outcome.record is not None]
            records = [module.STEP.result.model_validate(one) for one in kept]
    assert [record.id for record in records if record.id != "r1"] == ["r0", "r2"]
    assert len(reasons) <= 1
    assert time.thread_time() - began < 10 * SECONDS
    record_property("outcome", f"set aside: {reasons[0]}"[:100] if reasons else "goes on")
    if "29 digits" in name or "characters" in name:
        assert reasons


def test_whatever_a_rule_raises_is_one_item_s(tmp_path: Any, record_property: Callable[[str, object], None]) -> None:
    """Behind all rules stands a last line of defence: a fault of ours sets one report aside."""
    from dataclasses import replace

    def offline(report: Report) -> Any:
        if report.id == "r1":
            raise ZeroDivisionError("of ours")
        return split.split(report)

    step: Any = replace(split.STEP, offline=offline)
    records = [Report(id=f"r{n}", findings=f"Nodule {n}.", impressions="") for n in range(3)]
    with Work(tmp_path / "work.db") as work:
        found = list(Rules().do(step, [(one.id, one) for one in records], work, lambda _: None))
    assert [one.record is None for one in found] == [False, True, False]
    assert "ZeroDivisionError: of ours" in found[1].reason
    record_property("attack", "report: a fault of the rules themselves")
    record_property("outcome", f"set aside: {found[1].reason}")


def test_files_of_odd_reports_are_read_in_time(tmp_path: Any, record_property: Callable[[str, object], None]) -> None:
    """A spreadsheet of odd rows: each is set aside or goes on, and twenty thousand equal ids cost no square."""
    path = tmp_path / "reports.csv"
    rows = [f"r{n % 10_000},{'<' * 50},(" for n in range(20_000)]
    path.write_text("\n".join(["id,findings,impressions", *rows]), encoding="utf-8")
    began = time.thread_time()
    read = read_reports(path)
    lines = list(describe_problems(read.problems))
    seconds = time.thread_time() - began
    assert len(read.reports) == 10_000
    assert len(lines) >= 10_000
    assert seconds < 30 * SECONDS
    record_property("attack", "reports: 20,000 rows, each id twice")
    record_property("outcome", f"{seconds:.2f} s")


@pytest.mark.parametrize("name", PATTERNS)
def test_a_report_of_one_pattern_is_read_in_time(name: str, tmp_path: Any) -> None:
    """A text file of 20,000 characters, and a section of as many, are taken apart in time."""
    text = (PATTERNS[name] * LONG)[:LONG]
    path = tmp_path / "report.txt"
    path.write_text(f"FINDINGS:\n{text}\nIMPRESSION: none", encoding="utf-8")
    began = time.thread_time()
    with contextlib.suppress(BenchError):
        read_report(path, "r")
    clean_text(text)
    assert time.thread_time() - began < 3 * SECONDS
