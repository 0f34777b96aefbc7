"""Step 3, ``extract``: the distinct phrases of a rewritten report (paper, Figures S4 and S5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from curation.records import ExtractedReport, Phrase, RewrittenReport
from curation.steps.step import Question, Step, WrongAnswer, closed
from curation.text import attributes, changes, claims, details, measurements, places
from curation.text.assertion import (
    is_absent_organ,
    is_hedged,
    is_nearly_gone,
    is_negated,
    is_normal,
    is_seen,
    mentions_prior,
)
from curation.text.clauses import phrases_of
from curation.text.lexicon import mentions, subject
from curation.text.questions import asserted
from curation.text.regions import region_of
from curation.text.unseen import is_advice, is_limitation, is_technique, is_told_elsewhere, is_undecided
from curation.text.wording import without_preface

_LEAST_SHARED: Final = 0.3  # share of a phrase's words that its sentences must have
_SUMMARY: Final = 4  # findings of an impression that make it a summary
_KEY = re.compile(r"S([1-9]\d*)")


def extract(report: RewrittenReport) -> ExtractedReport:
    """Extract offline: clauses, negation, terms of history, rounded sizes; impressions join what they repeat."""
    phrases: list[Phrase] = []
    for code, sentence in report.sentences().items():
        if _says_nothing_seen(sentence):
            continue
        texts = phrases_of(sentence)
        compared = mentions_prior(without_preface(sentence))
        alone = sum(map(is_abnormal, texts)) <= 1
        for text in texts:
            rounded = measurements.round_sizes(text)
            phrase = Phrase(
                text=rounded,
                codes=(code,),
                abnormal=is_abnormal(text) and not text.endswith("?"),  # a question is no finding (rule 4)
                prior=mentions_prior(text) or (alone and compared),
                uncertain=is_hedged(text),
            )
            _add(phrase, phrases)
    return ExtractedReport(id=report.id, phrases=tuple(phrases))


def is_abnormal(text: str) -> bool:
    """Return whether a phrase describes something abnormal that is seen, and is not described elsewhere."""
    return is_seen(text) and not is_told_elsewhere(text)


def _says_nothing_seen(sentence: str) -> bool:
    """Return whether a sentence is advice or about the examination, and so describes nothing in the image."""
    if is_technique(sentence):
        return True
    if measurements.sizes(sentence):
        return False
    return (is_advice(sentence) and subject(mentions(sentence)) is None) or (
        is_limitation(sentence) and not is_abnormal(sentence)
    )


def _add(phrase: Phrase, phrases: list[Phrase]) -> None:
    """Add a phrase, or its codes to those that say the same; no detail of either is lost.

    An impression joins all findings that it repeats ("nodules in both lungs" one of the right and one of the left),
    and where it is the fuller wording of a single one, its text is kept.
    """
    same = [n for n, other in enumerate(phrases) if other.text == phrase.text]
    if not same and phrase.codes[0][0] == "I":
        same = [n for n, other in enumerate(phrases) if other.codes[0][0] != "I" and _repeats(phrase, other)]
        known = frozenset().union(*(claims.facts(phrases[n].text) for n in same))
        told = frozenset().union(*(claims.findings(other.text) for other in phrases))
        own = claims.facts(phrase.text) | (claims.findings(phrase.text) - told)
        if not own <= known:
            if len(same) == 1 and claims.facts(phrases[same[0]].text) <= own:
                phrases[same[0]] = phrases[same[0]].model_copy(update={"text": phrase.text})
            else:
                same = []
    for n in same:
        phrases[n] = _joined(phrases[n], phrase)
    if not same:
        phrases.append(phrase)


def _repeats(impression: Phrase, finding: Phrase) -> bool:
    """Return whether an impression says nothing that a finding does not say: same thing, organ, place and sizes."""
    if not (impression.abnormal and finding.abnormal):
        return False
    here, there = subject(mentions(impression.text)), subject(mentions(finding.text))
    if here is None or there is None or not _alike(here.concept.name, there.concept.name):
        return False
    region = finding.codes[0][0]
    if region_of(impression.text, before=region) != region and (
        _organs(impression.text) - _organs(finding.text) or region in _FAR
    ):
        return False
    if _structures(impression.text) - _structures(finding.text) and _structures(finding.text):
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


#: Regions whose findings an impression about the lung does not repeat.
_FAR: Final = frozenset({"B", "A", "N"})
#: Parts of organs that two wordings of one finding share.
_STRUCTURE = re.compile(
    r"\b(?:coronar|(?:abdominal|thoracic|ascending|descending) aort|aortic arch|pulmonary (?:arter|trunk|con)|"
    r"vena cava|mitral|tricuspid|aortic valve|pericard|pleura|fissur|vertebra|rib|stern|scapula|axill|breast)",
    re.IGNORECASE,
)


def _structures(text: str) -> frozenset[str]:
    """Return the parts of organs that a text names."""
    return frozenset(match.group().lower() for match in _STRUCTURE.finditer(text))


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
    """Check every phrase against the sentences that it cites, and every sentence against the phrases that cite it.

    Compared are findings and whether they are there, sides, lobes, segments, numbers, severity, counts, and the flags
    for abnormal and earlier examinations. Recommendations and questions may go: rules 3 to 5 of Figure S4.
    """
    sentences = report.sentences()
    compared = any(mentions_prior(sentence) or changes.compares(sentence) for sentence in sentences.values())
    problems = []
    cited: dict[str, list[Phrase]] = {}
    said: set[str] = set()
    for number, phrase in enumerate(result.phrases, start=1):
        unknown = [code for code in phrase.codes if code not in sentences]
        if unknown or not phrase.codes:
            problems.append(f"S{number} names no sentence of the report: {', '.join(unknown) or 'no code'}")
            continue
        for code in phrase.codes:
            cited.setdefault(code, []).append(phrase)
        own = [sentences[code] for code in phrase.codes]
        if phrase.abnormal and phrase.text.lower() in said:
            problems.append(f"S{number} says the same as another phrase: {phrase.text!r}")
        said.add(phrase.text.lower())
        problems += [f"S{number}: {what} ({', '.join(phrase.codes)})" for what in _phrase_faults(phrase, own)]
        if phrase.prior and not compared and not mentions_prior(phrase.text):
            problems.append(f"S{number}: nothing in the report refers to an earlier examination")
    for code, sentence in sentences.items():
        problems += [f"{code}{what}" for what in _sentence_faults(code, sentence, cited.get(code, []))]
    return problems


def _phrase_faults(phrase: Phrase, own: list[str]) -> list[str]:
    """Return what a phrase says, and the sentences that it cites do not."""
    text, source = phrase.text, " ".join(own)
    problems = [f"the number {n} is not in its sentences" for n in measurements.invented(text, [source], rounded=True)]
    problems += [f"{place!r} is not in its sentences" for place in places.invented(text, source)]
    problems += [fault for fault in details.compare(source, text) if "not in its source" in fault]
    problems += claims.descriptions(source, text) if phrase.abnormal else []
    problems += claims.clashes(source, text)
    if measurements.round_sizes(text) != text:
        problems.append(f"its sizes are not rounded: {text!r}")
    if phrase.abnormal and is_negated(text) and not (is_absent_organ(text) or is_nearly_gone(text)):
        problems.append("it is flagged abnormal, and says that something is not there")
    elif phrase.abnormal and is_normal(text) and not is_seen(text) and subject(mentions(text)) is None:
        problems.append("it is flagged abnormal, and calls something normal")
    elif phrase.abnormal:
        extra = claims.invented_findings(text, own) or claims.denied_findings(text, source)
        problems += [f"that there is {name.replace('_', ' ')} is not in its sentences" for name in extra]
        named = claims.findings(text, weak=True) & claims.findings(source, weak=True)
        if not named and claims.shared_words(text, own) < _LEAST_SHARED:
            problems.append("its words are not those of its sentences")
        if claims.is_bolder(own, text):
            problems.append("its sentences leave open what it states")
    elif _names_lesion(text) and not is_hedged(text) and any(map(_names_lesion, own)):
        problems.append("it is flagged normal, and names an abnormal finding")
    compared = all(len(phrases_of(s)) == 1 and changes.compares_time(without_preface(s)) for s in own)
    if not phrase.prior and phrase.abnormal and compared and len(claims.findings(source)) <= 1:
        problems.append("its sentences refer to an earlier examination, and its flag does not")
    return problems


def _names_lesion(text: str) -> bool:
    """Return whether a text says that a finding is there, be it a cyst or another lesion by a general name."""
    return bool(claims.findings(text)) or (is_seen(text) and "nodule" in claims.findings(text, weak=True))


def _sentence_faults(code: str, whole: str, phrases: list[Phrase]) -> list[str]:
    """Return what a sentence says is there, and the phrases that cite it do not say."""
    sentence = asserted(whole)
    if is_advice(sentence) or is_technique(sentence) or sentence.rstrip(" .)").endswith("?"):
        return []
    if not phrases:
        return [f" is lost: {whole!r}"] if is_abnormal(sentence) and not is_undecided(sentence) else []
    here = ". ".join(phrase.text for phrase in phrases)
    gone = [n for n in measurements.lost(sentence, here, rounded=True) if n.endswith(" mm")]
    problems = [f": the size {n} is lost" for n in gone]
    there = claims.stated(sentence)
    abnormal = ". ".join(phrase.text for phrase in phrases if phrase.abnormal)
    lost = claims.lost_findings(sentence, abnormal)
    if code[0] == "I" and len(lost) == 1 and len(claims.findings(sentence)) >= _SUMMARY:
        lost = []  # an impression that sums up so many findings may be cited for most of them
    problems += [f": that there is {name.replace('_', ' ')} is lost" for name in lost]
    if not abnormal:
        return problems
    problems += [f": {fault}" for fault in attributes.dropped(there, here)]
    problems += [f": {place!r} is lost" for place in places.lost(there, here)]
    problems += [f": {fault}" for fault in details.compare(there, here) if "lost" in fault]
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
