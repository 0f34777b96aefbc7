"""Step 3, ``extract``: the distinct phrases of a rewritten report (paper, Figures S4 and S5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from curation.records import ExtractedReport, Phrase, RewrittenReport
from curation.steps.step import Question, Step, WrongAnswer, closed
from curation.text import measurements, places
from curation.text.assertion import (
    is_absent_organ,
    is_advice,
    is_hedged,
    is_history,
    is_limitation,
    is_negated,
    is_normal,
    mentions_prior,
)
from curation.text.clauses import asserted, phrases_of
from curation.text.lexicon import mentions, subject
from curation.text.regions import region_of

_KEY = re.compile(r"S([1-9]\d*)")


def extract(report: RewrittenReport) -> ExtractedReport:
    """Extract offline: clauses, negation, terms of history, rounded sizes; impressions join what they repeat."""
    phrases: list[Phrase] = []
    for code, sentence in report.sentences().items():
        if _says_nothing_seen(sentence):
            continue
        for text in phrases_of(sentence):
            rounded = measurements.round_sizes(text)
            phrase = Phrase(
                text=rounded,
                codes=(code,),
                abnormal=is_abnormal(text) and not text.endswith("?"),  # a question is no finding (rule 4)
                prior=mentions_prior(text),
                uncertain=is_hedged(text),
            )
            at = _same(phrase, phrases)
            if at is None:
                phrases.append(phrase)
            else:
                phrases[at] = _joined(phrases[at], phrase)
    return ExtractedReport(id=report.id, phrases=tuple(phrases))


def is_abnormal(text: str) -> bool:
    """Return whether a phrase describes something abnormal: neither negated, nor normal, nor from the history.

    An organ that is missing is abnormal, though what is said of it is a negation.
    """
    if is_absent_organ(text):
        return True
    return subject(mentions(text)) is not None and not (is_negated(text) or is_normal(text) or is_history(text))


def _says_nothing_seen(sentence: str) -> bool:
    """Return whether a sentence is advice or about the examination, and so describes nothing in the image."""
    if measurements.sizes(sentence):
        return False
    return (is_advice(sentence) and subject(mentions(sentence)) is None) or (
        is_limitation(sentence) and not is_abnormal(sentence)
    )


def _same(phrase: Phrase, phrases: list[Phrase]) -> int | None:
    """Return which earlier phrase an impression repeats, or any phrase repeats word by word."""
    for number, other in enumerate(phrases):
        if other.text == phrase.text:
            return number
        if phrase.codes[0][0] == "I" and other.codes[0][0] != "I" and _repeats(phrase, other):
            return number
    return None


def _repeats(impression: Phrase, finding: Phrase) -> bool:
    """Return whether an impression says nothing that a finding does not say: same thing, organ, place and sizes."""
    if not (impression.abnormal and finding.abnormal):
        return False
    here, there = subject(mentions(impression.text)), subject(mentions(finding.text))
    if here is None or there is None or not _alike(here.concept.name, there.concept.name):
        return False
    region = finding.codes[0][0]
    if region_of(impression.text, before=region) != region and _organs(impression.text) - _organs(finding.text):
        return False
    return not (
        places.clashes(impression.text, finding.text) or measurements.lost(impression.text, finding.text, rounded=True)
    )


#: Concepts by which findings and impressions call one thing.
_SYNONYMS: Final = (
    frozenset({"atelectasis", "subsegmental", "linear"}),
    frozenset({"scar", "linear"}),
    frozenset({"pleural_effusion"}),
    frozenset({"emphysema", "bulla", "bleb"}),
    frozenset({"density_increase", "ground_glass"}),
    frozenset({"density_increase", "consolidation"}),
    frozenset({"micronodule", "nodule"}),
    frozenset({"stone", "organ_calcification"}),
)


def _alike(first: str, second: str) -> bool:
    return first == second or any({first, second} <= names for names in _SYNONYMS)


def _organs(text: str) -> set[str]:
    """Return the organs outside the lung that a text names."""
    names = {mention.concept.name for mention in mentions(text) if mention.concept.region not in {None, "L"}}
    return names & _ORGANS


_ORGANS: Final = frozenset(
    [
        "liver",
        "gallbladder",
        "kidney",
        "spleen",
        "adrenal",
        "pancreas",
        "abdomen",
        "thyroid",
        "neck",
        "bone",
        "skin",
        "heart",
        "vessel",
        "esophagus",
    ]
)


def _joined(first: Phrase, second: Phrase) -> Phrase:
    codes = (*first.codes, *(code for code in second.codes if code not in first.codes))
    return first.model_copy(update={"codes": codes, "prior": first.prior or second.prior})


def check(report: RewrittenReport, result: ExtractedReport) -> list[str]:
    """Check the sentence codes, that no size is lost, and that no number, side or lobe is invented.

    Sizes of recommendations and of questions may go: rules 3 to 5 of Figure S4 exclude those phrases.
    """
    sentences = report.sentences()
    everything = " ".join(sentences.values())
    problems = []
    cited: dict[str, list[str]] = {}
    for number, phrase in enumerate(result.phrases, start=1):
        unknown = [code for code in phrase.codes if code not in sentences]
        if unknown or not phrase.codes:
            problems.append(f"S{number} names no sentence of the report: {', '.join(unknown) or 'no code'}")
            continue
        for code in phrase.codes:
            cited.setdefault(code, []).append(phrase.text)
        sources = " ".join(sentences[code] for code in phrase.codes)
        extra = measurements.invented(phrase.text, [sources], rounded=True)
        problems += [f"S{number}: the number {n} is not in {', '.join(phrase.codes)}" for n in extra]
        problems += [f"S{number}: {p!r} is nowhere in the report" for p in places.invented(phrase.text, everything)]
        if measurements.round_sizes(phrase.text) != phrase.text:
            problems.append(f"S{number}: its sizes are not rounded: {phrase.text!r}")
    for code, whole in sentences.items():
        sentence = asserted(whole)
        if is_advice(sentence) or sentence.rstrip(" .)").endswith("?"):
            continue
        if code not in cited and is_abnormal(sentence):
            problems.append(f"{code} is lost: {sentence!r}")
        here = " ".join(cited.get(code, []))
        gone = [n for n in measurements.lost(sentence, here, rounded=True) if n.endswith(" mm")]
        problems += [f"{code}: the size {n} is lost" for n in gone]
    return problems


def _content(report: RewrittenReport) -> str:
    return json.dumps(report.coded(), ensure_ascii=False, indent=1)


def _schema(_: RewrittenReport) -> dict[str, Any]:
    yes_no = {"type": "string", "enum": ["Y", "N"]}
    phrase = closed(
        {
            "text": {"type": "string"},
            "codes": {"type": "array", "items": {"type": "string"}},
            "abnormal": yes_no,
            "prior": yes_no,
        }
    )
    return closed({"phrases": {"type": "array", "items": phrase}})


def _read(report: RewrittenReport, answer: Mapping[str, Any]) -> ExtractedReport:
    phrases = (
        Phrase(text=item["text"], codes=item["codes"], abnormal=item["abnormal"] == "Y", prior=item["prior"] == "Y")
        for item in answer["phrases"]
    )
    return ExtractedReport(id=report.id, phrases=tuple(phrases))


def _paper_form_schema(_: RewrittenReport) -> dict[str, Any]:
    # The keys S1, S2, … are not known beforehand, which strict structured outputs cannot say.
    return {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}


def _read_paper_form(report: RewrittenReport, answer: Mapping[str, Any]) -> ExtractedReport:
    wrong = [key for key, value in answer.items() if not _KEY.fullmatch(key) or len(value) != 4]
    if wrong:
        raise WrongAnswer([f"{key} should be S1, S2, … with a list of four texts" for key in wrong])
    return ExtractedReport.from_paper_form(report.id, answer)


STEP: Final = Step(
    "extract",
    RewrittenReport,
    ExtractedReport,
    extract,
    check,
    Question("extract", _content, _schema, _read, _paper_form_schema, _read_paper_form),
    needless=lambda report: not report.sentences(),
)
