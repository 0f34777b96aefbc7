"""What was found, as a document for programs and as the page: the same facts, each said once here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from curation.pipeline import SURE
from curation.records import CategorizedFinding
from curation.report_text import Section
from curation.text.sentences import split_sentences
from curation.traced import Traced
from harness.categories import CATEGORIES
from harness.cli.tables import counted
from harness.runs.predict import FindingMask
from harness.status import Status
from leaderboard.gallery.pictures import Picture
from leaderboard.grounded.masks import Measured
from leaderboard.pages.report_page import ReportFinding, ReportPage, ReportSentence

#: Why nothing is read from the other sections of a report.
OTHER_SECTION: Final = "its section holds neither findings nor an impression"


@dataclass(frozen=True)
class Shown:
    """One finding of a report and what a model drew for it.

    Attributes
    ----------
    mask
        What was delivered.
    file, sha256
        Address of the mask in the CT's grid, seen from the page, and its digest (hex); empty without one.
    measured, picture
        What was measured of it, and its picture; None where it has no voxel.
    """

    mask: FindingMask
    file: str = ""
    sha256: str = ""
    measured: Measured | None = None
    picture: Picture | None = None


@dataclass(frozen=True)
class Result:
    """Everything that the page and the document say.

    Attributes
    ----------
    traced, others
        What became of each sentence, and the sections that no finding is read from.
    shown
        Finding by finding; empty where the report names none that can be drawn.
    report, ct, model, by
        Facts of the report, of the CT, of the model (empty where none was run), and of who did the steps.
    notes
        What should be known of how the model was run.
    """

    traced: Traced
    others: Sequence[Section]
    shown: Sequence[Shown]
    report: Mapping[str, Any]
    ct: Mapping[str, Any]
    model: Mapping[str, Any]
    by: Mapping[str, str]
    notes: Sequence[str] = ()

    @property
    def failed(self) -> list[Shown]:
        """The findings without a mask that could be used."""
        return [one for one in self.shown if one.mask.status is not Status.OK]

    @property
    def lead(self) -> str:
        """What was found, in one sentence."""
        sentences = counted(len(self.traced.sentences), "sentence")
        if not self.shown:
            return f"{sentences}, and no finding among them that can be drawn; below each is why."
        marked = sum(one.measured is not None for one in self.shown)
        findings = counted(len(self.shown), "finding")
        return f"{sentences} with {findings} that can be drawn; the model marked {marked} of {len(self.shown)}."


# -- for programs -----------------------------------------------------------------------------------------------------


def document(result: Result) -> dict[str, Any]:
    """Return ``findings.json``: JSON values only. Sentences are referred to by their place in the list, from 0."""
    sentences = [
        {
            "code": sentence.code,
            "text": sentence.text,
            "findings": [str(number) for number in sentence.findings],
            "not_drawn": [{"text": item.text or sentence.text, "reason": item.reason} for item in sentence.aside],
        }
        for sentence in result.traced.sentences
    ]
    return {
        "schema": 1,
        "truth": None,  # nobody has marked these findings: there is nothing to score
        "report": {**result.report, "read_by": dict(result.by), "sentences": sentences},
        "other_sections": [{"heading": one.heading, "text": one.text} for one in result.others],
        "ct": dict(result.ct),
        "model": dict(result.model) or None,
        "notes": list(result.notes),
        "findings": [_finding(result, number, one) for number, one in enumerate(result.shown)],
    }


def _finding(result: Result, number: int, shown: Shown) -> dict[str, Any]:
    finding, measured = result.traced.findings[number], shown.measured
    delivered = shown.mask.status is Status.OK
    return {
        "finding": str(number),
        "text": finding.text,
        "category": finding.category,
        "category_name": CATEGORIES[finding.category],
        "sentences": [place for place, one in enumerate(result.traced.sentences) if number in one.findings],
        "status": str(shown.mask.status),
        "reason": shown.mask.reason or None,
        "remarks": _remarks(finding, shown),
        "mask": shown.file or None,
        "sha256": shown.sha256 or None,
        "voxels": measured.voxels if measured else 0 if delivered else None,
        "volume_ml": round(measured.ml, 6) if measured else 0.0 if delivered else None,
        "measured": None
        if measured is None
        else {
            "slices": measured.slices,
            "slices_mm": [round(z, 3) for z in measured.heights],
            "box_voxels": [list(measured.first), list(measured.last)],
            "box_mm": [round(size, 3) for size in measured.extent],
            "left_of_middle": round(measured.left, 6),
        },
    }


# -- for people -------------------------------------------------------------------------------------------------------


def page(result: Result) -> ReportPage:
    """Return the input of the page."""
    model = str(result.model.get("title", ""))
    by = "rules, on this machine" if "host" not in result.by else f"{result.by['steps']} on {result.by['host']}"
    ct = result.ct
    facts = [
        ("Model", f"{model}, {result.model['variant']}, version {result.model['version']}" if model else "not run"),
        *([("Engine", str(result.model["engine"])), ("Weights", str(result.model["weights"]))] if model else []),
        ("CT", f"{ct['name']}, {' x '.join(map(str, ct['shape']))} voxels of {_mm(ct['spacing_mm'])}"),
        ("Report read by", by),
    ]
    shown = set[int]()
    parts: dict[str, list[ReportSentence]] = {"Findings": [], "Impression": []}
    for sentence in result.traced.sentences:
        here = [number for number in sentence.findings if number not in shown]
        shown.update(here)
        parts["Findings" if sentence.code[0] == "F" else "Impression"].append(
            ReportSentence(
                sentence.text,
                [_shown(result, number) for number in here],
                [str(number) for number in sentence.findings if number not in here],
                [(item.text, item.reason) for item in sentence.aside],
            )
        )
    others = [
        (one.heading or "Before the first heading", [_other(text) for text in split_sentences(one.text)])
        for one in result.others
    ]
    sections = [*((heading, said) for heading, said in parts.items() if said), *others]
    failed = result.failed
    notes = [*([f"{counted(len(failed), 'finding')} without a mask: {failed[0].mask.reason}"] if failed else [])]
    return ReportPage(model, str(ct["name"]), result.lead, [*notes, *result.notes], facts, sections)


def _other(text: str) -> ReportSentence:
    return ReportSentence(text, aside=[("", OTHER_SECTION)])


def _shown(result: Result, number: int) -> ReportFinding:
    finding, shown = result.traced.findings[number], result.shown[number]
    facts = [] if shown.measured is None else list(facts_of(shown.measured))
    remarks = _remarks(finding, shown)
    if shown.mask.status is not Status.OK:
        remarks.append(f"No mask: {shown.mask.reason}")
    elif shown.measured is None:
        remarks.append("The model marked nothing.")
    return ReportFinding(str(number), finding.text, finding.category, facts, remarks, shown.file, shown.picture)


def _remarks(finding: CategorizedFinding, shown: Shown) -> list[str]:
    """Return what should be known of a finding beside its mask."""
    return [
        *(["The report leaves open whether it is there."] if finding.uncertain else []),
        *(["Its category is uncertain."] if finding.score is not None and finding.score < SURE else []),
        *shown.mask.warnings,
    ]


def facts_of(measured: Measured) -> Iterator[tuple[str, str]]:
    """Yield name and value of what was measured of a mask, in words."""
    ml = measured.ml
    volume = "less than 0.01 ml" if ml < 0.01 else f"{ml:.{2 if ml < 10 else 1 if ml < 100 else 0}f} ml"
    yield "Volume", f"{volume} ({measured.voxels:,} voxel{'s' if measured.voxels > 1 else ''})"
    low, high = measured.heights
    where = f"z {low:.1f} mm" if measured.slices == 1 else f"z {low:.1f} to {high:.1f} mm"
    yield "Slices", f"{counted(measured.slices, 'axial slice')}, {where}"
    box = " x ".join(f"{size:.1f}" for size in measured.extent)
    yield "Box", f"{box} mm (left to right, front to back, foot to head)"
    first, last = ("(" + ", ".join(map(str, corner)) + ")" for corner in (measured.first, measured.last))
    yield "Box, voxels", f"{first} to {last} of the CT array"
    yield "Side", side_of(measured.left)


def side_of(left: float) -> str:
    """Say on which side of the scan's middle a mask lies; `left` is the share of its voxels on the patient's left."""
    if left in (0.0, 1.0):
        return f"all of it {'left' if left else 'right'} of the middle of the scan"
    percent = min(99, max(1, round(100 * left)))
    return f"{percent} % of it left of the middle of the scan, {100 - percent} % right"


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing) + " mm"
