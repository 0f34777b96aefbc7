"""Step 2, ``rewrite``: sentences in US radiology English, sorted into 7 regions (paper, Figures S2 and S3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from curation.records import NOT_GIVEN, Dropped, Line, RewrittenReport, SplitReport
from curation.schema import REGIONS
from curation.steps.step import Question, Step, WrongAnswer, closed
from curation.text import attributes, changes, claims, details, measurements, places
from curation.text.lexicon import mentions, subject
from curation.text.regions import region_of
from curation.text.unseen import is_advice
from curation.text.wording import american, capitalised, in_full, is_irrelevant, without_preface

_WORD = re.compile(r"[a-z]{4,}")
_ALIKE: Final = 0.2  # share of a sentence's words that another one must have to be taken for its rewriting


def rewrite(report: SplitReport) -> RewrittenReport:
    """Rewrite offline: terms replaced sentence by sentence, so that nothing is lost; irrelevant comments dropped."""
    regions: dict[str, list[Line]] = {letter: [] for letter in REGIONS.values()}
    impressions: list[Line] = []
    dropped: list[Dropped] = []
    before = "L"
    for code, sentence in report.coded().items():
        if is_irrelevant(sentence):
            dropped.append(Dropped(source=code, reason="no part of a radiology report"))
            continue
        line = Line(text=american(sentence), sources=(code,))
        if code[0] == "I":
            impressions.append(line)
        else:
            before = region_of(sentence, before=before)
            regions[before].append(line)
    return RewrittenReport(
        id=report.id,
        regions={letter: tuple(lines) for letter, lines in regions.items()},
        impressions=tuple(impressions),
        dropped=tuple(dropped),
    )


def check(report: SplitReport, result: RewrittenReport) -> list[str]:
    """Check that every sentence is there, that none is new, and that each says what its source says.

    Compared are numbers, sides, lobes, segments, findings and whether they are there, severity, counts, attributes,
    changes, organs, and whether a finding is left open; each line with the sentences that it cites, each sentence with
    the lines that cite it. A sentence of the findings may be supplemented from an impression about the same finding
    (Figure S2).
    """
    coded = {code: in_full(sentence) for code, sentence in report.coded().items()}
    impressions = [sentence for code, sentence in coded.items() if code[0] == "I"]
    lines = [(letter, line) for letter in REGIONS.values() for line in result.regions.get(letter, ())]
    lines += [("I", line) for line in result.impressions]
    cited: dict[str, list[str]] = {}
    problems = []
    for letter, line in lines:
        unknown = [code for code in line.sources if code not in coded]
        if unknown or not line.sources:
            problems.append(f"the sentence {line.text!r} comes from no sentence of the report ({', '.join(unknown)})")
            continue
        for code in line.sources:
            cited.setdefault(code, []).append(line.text)
        own = [coded[code] for code in line.sources]
        problems += [f"{line.text!r}: {what}" for what in _line_faults(line.text, own, impressions)]
        if letter != "I" and _is_misfiled(line.text, letter):
            problems.append(f"{line.text!r} does not belong to the region {letter}")
    dropped = {item.source for item in result.dropped}
    for code, sentence in coded.items():
        if code in dropped and code not in cited:
            if not _droppable(sentence):
                problems.append(f"{code} was dropped, and says something of the images: {sentence!r}")
        elif code not in cited:
            problems.append(f"{code} is lost: {sentence!r}")
        else:
            problems += [f"{code}: {what}" for what in _sentence_faults(sentence, " ".join(cited[code]))]
    wrong = [line.text for line in result.impressions if any(code[0] == "F" for code in line.sources)]
    problems += [f"the impression {text!r} comes from the findings" for text in wrong]
    return problems


def _line_faults(text: str, own: Sequence[str], impressions: Sequence[str]) -> list[str]:
    """Return what a rewritten line says, and its own sentences and the impressions about its findings do not."""
    if [text] == [capitalised(sentence) for sentence in own]:
        return []
    source = " ".join(own)
    about = claims.findings(source, weak=True)
    known = [*own, *(other for other in impressions if claims.findings(other, weak=True) & about)]
    problems = [f"the number {n} is not in its source" for n in measurements.invented(text, known)]
    problems += [f"{place!r} is not in its source" for place in places.invented(text, " ".join(known))]
    extra = claims.invented_findings(text, [american(sentence) for sentence in known])
    problems += [f"that there is {_named(name)} is not in its source" for name in extra]
    denied = [] if extra else claims.denied_findings(text, american(source))
    problems += [f"its source says that there is no {_named(name)}" for name in denied]
    problems += [fault for fault in details.compare(" ".join(known), text) if "not in its source" in fault]
    problems += claims.descriptions(" ".join([*known, american(source)]), text)
    problems += claims.clashes(source, text)
    if claims.is_open(text) and not claims.is_open(source, widely=True):
        problems.append("it leaves open what its source states")
    return problems


def _sentence_faults(sentence: str, text: str) -> list[str]:
    """Return what a sentence says, and the lines that cite it do not."""
    if text == capitalised(sentence):
        return []
    problems = [f"the number {n} is lost" for n in measurements.lost(sentence, text)]
    problems += [f"{place!r} is lost" for place in places.lost(without_preface(sentence), text)]
    problems += [f"that there is {_named(name)} is lost" for name in claims.lost_findings(american(sentence), text)]
    problems += [
        f"it says that there is {_named(name)}, and a line denies it" for name in claims.turned(sentence, text)
    ]
    problems += [fault for fault in details.compare(sentence, text) if "lost" in fault]
    problems += [f"the {organ} is lost" for organ in claims.lost_organs(claims.stated(sentence), text)]
    problems += attributes.dropped(american(sentence), text)
    if changes.compares_less(sentence, text):
        problems.append("what has changed or not since an earlier examination is lost")
    bolder = claims.is_bolder([sentence], text)
    if bolder or (claims.is_open(sentence) and not claims.is_open(text, widely=True)):
        problems.append("it leaves its finding open, and its rewriting does not")
    return problems


def _named(concept: str) -> str:
    return concept.replace("_", " ")


def _is_misfiled(text: str, letter: str) -> bool:
    """Return whether a line of bones or abdomen is filed elsewhere, or the reverse, with no word of that region.

    Wires in the sternum may be of the chest wall, and a hiatal hernia of the abdomen: none is of the lung.
    """
    region = region_of(text, before=letter)
    if region == letter or not {region, letter} & {"A", "B"} or {region, letter} in ({"B", "C"}, {"A", "M"}):
        return False
    return all(mention.concept.region != letter for mention in mentions(text))


def _droppable(sentence: str) -> bool:
    """Return whether nothing of the images is lost with a sentence."""
    if is_irrelevant(sentence):
        return True
    if is_advice(sentence):
        return not claims.stated(sentence)
    return not (subject(mentions(sentence)) or places.places(sentence) or measurements.sizes(sentence))


def _content(report: SplitReport) -> str:
    coded: dict[str, str] = dict(report.coded())
    if not report.findings:
        coded["Findings"] = NOT_GIVEN
    if not report.impressions:
        coded["Impressions"] = NOT_GIVEN
    return json.dumps(coded, ensure_ascii=False, indent=1)


def _schema(_: SplitReport) -> dict[str, Any]:
    line = closed({"text": {"type": "string"}, "sources": {"type": "array", "items": {"type": "string"}}})
    lines = {"type": "array", "items": line}
    dropped = closed({"source": {"type": "string"}, "reason": {"type": "string"}})
    return closed(
        {
            "Findings": closed(dict.fromkeys(REGIONS, lines)),
            "Impressions": lines,
            "Dropped": {"type": "array", "items": dropped},
        }
    )


def _read(report: SplitReport, answer: Mapping[str, Any]) -> RewrittenReport:
    return RewrittenReport(
        id=report.id,
        regions={letter: answer["Findings"][name] for name, letter in REGIONS.items()},
        impressions=answer["Impressions"],
        dropped=answer["Dropped"],
    )


def _paper_form_schema(_: SplitReport) -> dict[str, Any]:
    texts = {"type": "array", "items": {"type": "string"}}
    return closed({"Findings": closed(dict.fromkeys(REGIONS, texts)), "Impressions": {"type": "string"}})


def _read_paper_form(report: SplitReport, answer: Mapping[str, Any]) -> RewrittenReport:
    return trace(report, RewrittenReport.from_paper_form(report.id, answer))


def trace(report: SplitReport, result: RewrittenReport) -> RewrittenReport:
    """Find out where the sentences of an answer in the form of Figure S3 come from.

    Every sentence of the report is given to the rewritten one of the same section that shares most of its numbers and
    words; a rewritten sentence that gets none is given its own likeliest source. What is like nothing stays without a
    source and fails the checks, except for recommendations, which the figure drops.

    Raises
    ------
    WrongAnswer
        There is a finding where the report has none.
    """
    if not report.findings and any(result.regions.values()):
        raise WrongAnswer(["the findings of the report are not given, so every list must be empty"])
    sources: dict[tuple[str, int], list[str]] = {}
    places_of = [
        ((letter, n), line.text)
        for letter, lines in {**result.regions, "I": result.impressions}.items()
        for n, line in enumerate(lines)
    ]
    dropped = []
    for code, sentence in report.coded().items():
        near = [(key, text) for key, text in places_of if (key[0] == "I") == (code[0] == "I")]
        best = max(near, key=lambda item: _likeness(sentence, item[1]), default=None)
        if best is not None and _likeness(sentence, best[1]) >= _ALIKE:
            sources.setdefault(best[0], []).append(code)
        elif is_advice(sentence) or is_irrelevant(sentence):
            dropped.append(Dropped(source=code, reason="not in the answer, and no description of the image"))
    for key, text in places_of:
        if key not in sources:
            near_codes = [code for code in report.coded() if (code[0] == "I") == (key[0] == "I")]
            likest = max(near_codes, key=lambda code: _likeness(report.coded()[code], text), default=None)
            if likest is not None and _likeness(report.coded()[likest], text) >= _ALIKE:
                sources[key] = [likest]

    def traced(letter: str, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return tuple(Line(text=line.text, sources=tuple(sources.get((letter, n), ()))) for n, line in enumerate(lines))

    return RewrittenReport(
        id=report.id,
        regions={letter: traced(letter, lines) for letter, lines in result.regions.items()},
        impressions=traced("I", result.impressions),
        dropped=tuple(dropped),
    )


def _likeness(source: str, text: str) -> float:
    """Return the share of the source's numbers, places and word stems that `text` has, between 0 and 1."""

    def marks(sentence: str) -> set[str]:
        stems = {word[:5] for word in _WORD.findall(american(sentence).lower())}
        return stems | set(measurements.numbers(sentence)) | set(places.places(sentence))

    here, there = marks(source), marks(text)
    return len(here & there) / max(1, min(len(here), len(there)))


STEP: Final = Step(
    "rewrite",
    SplitReport,
    RewrittenReport,
    rewrite,
    check,
    Question("rewrite", _content, _schema, _read, _paper_form_schema, _read_paper_form),
    needless=lambda report: not report.coded(),
)
