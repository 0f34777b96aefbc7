"""Step 3, ``extract``: the distinct phrases of a rewritten report (paper, Figures S4 and S5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from curation.records import ExtractedReport, Phrase, RewrittenReport
from curation.steps.step import Question, Step, WrongAnswer, closed
from curation.text import measurements, places
from curation.text.assertion import is_advice, is_limitation, is_negated, is_normal, mentions_prior
from curation.text.clauses import phrases_of
from curation.text.lexicon import mentions, subject

_KEY = re.compile(r"S([1-9]\d*)")


def extract(report: RewrittenReport) -> ExtractedReport:
    """Extract offline: clauses, negation, terms of history, rounded sizes; impressions join what they repeat."""
    phrases: list[Phrase] = []
    for code, sentence in report.sentences().items():
        if _says_nothing_seen(sentence):
            continue
        for text in phrases_of(sentence):
            rounded = measurements.round_sizes(text)
            abnormal = is_abnormal(text)
            phrase = Phrase(text=rounded, codes=(code,), abnormal=abnormal, prior=mentions_prior(text))
            at = _same(phrase, phrases)
            if at is None:
                phrases.append(phrase)
            else:
                phrases[at] = _joined(phrases[at], phrase)
    return ExtractedReport(id=report.id, phrases=tuple(phrases))


def is_abnormal(text: str) -> bool:
    """Return whether a phrase names something that can be abnormal, and neither negates it nor calls it normal."""
    return subject(mentions(text)) is not None and not is_negated(text) and not is_normal(text)


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
        if phrase.codes[0][0] != "I" or not phrase.abnormal or not other.abnormal or other.codes[0][0] == "I":
            continue
        here, there = subject(mentions(phrase.text)), subject(mentions(other.text))
        if here is None or there is None or here.concept != there.concept or places.clashes(phrase.text, other.text):
            continue
        if not measurements.lost(phrase.text, other.text, rounded=True):
            return number
    return None


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
    for code, sentence in sentences.items():
        if is_advice(sentence) or "?" in sentence:
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
