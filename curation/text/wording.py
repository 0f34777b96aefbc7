"""US radiology English for the terms that translated reports use (paper, Figure S2, rule 1); numbers stay untouched."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from curation.text.bounded import bounded

#: What dictation and haste leave short, in full: expression and replacement.
_SHORT: Final = tuple(
    (re.compile(rf"\b{pattern}(?!\w)", re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"can['\u2019]t", "cannot"),
        (r"(?P<verb>is|are|was|were|has|have|does|do|did|could)n['\u2019]t", r"\g<verb> not"),
        (r"w/o", "without"),
        (r"b/l", "bilateral"),
        (r"e/o", "evidence of"),
        (r"n/o", "no"),
        (r"wnl", "within normal limits"),
        (r"s/p", "status post"),
        (r"r/o", "rule out"),
        (r"atx", "atelectasis"),
        (r"ptx", "pneumothorax"),
    )
)
_NATURAL: Final = r"(?P<verb>is|are|was|were) (?:normal|natural)"
_SCAR: Final = r"(?:pleuro-?parenchymal |fibrotic |parenchymal )*"
#: What is replaced, in this order; every pattern ends at the end of a word. Our own list, made from the translated
#: reports' commonest phrases. A replacement keeps the number of the word that the verb follows.
_TERMS: Final = tuple(
    (re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"(?:old |previous )?fractures? seque?la[el]?", "old fracture"),
        (r"seque?la[el]? (?:of )?(?:an? )?(?:old |previous )?(?P<broken>fractures?)", r"old \g<broken>"),
        (
            (
                rf"(?P<plural>{_SCAR})seque?la[el]? {_SCAR}(?:densit(?:y|ies) increases|density increase|changes|"
                r"densities|findings|lesions|areas)"
            ),
            r"\g<plural>scarring changes",
        ),
        (rf"(?P<single>{_SCAR})seque?la[el]? {_SCAR}(?:change|density|finding|lesion|area)", r"\g<single>scarring"),
        (r"seque?la[el]?(?= (?:calcif|granulom|nodul|lymph))", "old"),
        (r"seque?la[el]?", "scarring"),
        (r"millimetric", "subcentimeter"),
        (
            rf"(?P<tube>esophagus|trachea|aorta|trunk|vena cava) calibrations? {_NATURAL}",
            r"\g<tube> \g<verb> normal in caliber",
        ),
        (rf"calibrations {_NATURAL}", r"calibers \g<verb> normal"),
        (r"calibrations", "calibers"),
        (r"calibration", "caliber"),
        (r"space[- ]occupying lesions", "lesions"),
        (r"space[- ]occupying lesion", "lesion"),
        (
            (
                r"(?:(?:that|which) )?entered the cross-sectional area|within the cross-sectional area|"
                r"entering the (?:cross-section(?:al)?|examination) area|in the study area|"
                r"included in the (?:sections?|examination|study)(?: area)?|within the (?:sections?|examined area)|"
                r"sections visuali[sz]ed"
            ),
            "within the field of view",
        ),
        (r"(?:vertebral?|vertebrae) corpus(?= height)", "vertebral body"),
        (r"(?:vertebral?|vertebrae) corpuses", "vertebral bodies"),
        (r"(?:vertebral?|vertebrae) corpus", "vertebral body"),
        (r"corpus heights", "body heights"),
        (r"corpus height", "body height"),
        (r"ground[- ]glass|frosted[- ]glass", "ground-glass"),
        (
            r"(?:bud(?:ding|ded)?[- ](?:tree|branch)|branch(?:es)? with buds?) (?:appearances|views|patterns)",
            "tree-in-bud patterns",
        ),
        (
            r"(?:bud(?:ding|ded)?[- ](?:tree|branch)|branch(?:es)? with buds?)(?: (?:appearance|view|pattern))?",
            "tree-in-bud pattern",
        ),
        (r"atelectesis", "atelectasis"),
        (r"atheroma plaques", "atheromatous plaques"),
        (r"atheroma plaque", "atheromatous plaque"),
        (r"latera?l?abasal|lateralobasal", "laterobasal"),
        (r"hepatosteatosis", "hepatic steatosis"),
        (rf"{_NATURAL}", r"\g<verb> normal"),
        (r"(?<!glass )(?<!like )(?<!style )densit(?:y|ies) increases", "increased densities"),
        (r"(?<!glass )(?<!like )(?<!style )density increase", "increased density"),
        (r"air bronchograms sign|air bronchogram sign", "air bronchogram"),
        (r"pneumonic infiltrations", "pneumonic infiltrates"),
        (
            r"(?<!enlarged )(?<!sized )lymph nodes (?:reaching|in|of) pathological (?:dimensions?|size)(?! and)",
            "pathologically enlarged lymph nodes",
        ),
        (
            r"(?<!enlarged )(?<!sized )lymph node (?:reaching|in|of) pathological (?:dimensions?|size)(?! and)",
            "pathologically enlarged lymph node",
        ),
        (
            r"trachea(?: and|,) both main bronchi (?P<are>are|were) open",
            r"trachea and both main bronchi \g<are> patent",
        ),
    )
)
_NO_HEAD: Final = r"(?:(?!\b(?:and|as well as|or|is|are|was|were|which|that|of|in|with|for|as)\b)[^,;])*"
_NO_LIST: Final = r"(?:(?!\b(?:and|as well as|or|is|are|was|were|which|that)\b)[^,;])*"
#: A subject that has become a singular, with the verb of the plural that it was; a list has the verb of a plural.
_DISAGREES = re.compile(
    rf"(?P<begin>^|[,;] )(?P<subject>{_NO_HEAD}\bscarring\b(?! changes){_NO_LIST})\b(?P<verb>are|were)\b", re.IGNORECASE
)
#: A character of a preface that names no place of its own, and no earlier examination.
_NOWHERE: Final = r"(?:(?!\b(?:left|right|lobes?|lingula|segments?|previous|prior|old|earlier|compar\w*)\b)[^;:,.()])"
#: A heading that names where, and nothing to be seen: "Lungs and airways:"; a number of a list.
_HEADING: Final = (
    r"(?:(?:the|and|large|central|lung|lungs|pulmonary|parenchyma|parenchymal|airway|airways|pleura|pleurae|pleural|space|spaces|"
    r"mediastinum|hila|heart|vessels|vascular|vasculature|great|pericardium|chest|wall|thorax|bones?|osseous|skeleton|soft|tissues?|upper|"
    r"abdomen|neck|lower|lymph|nodes|finding|findings|impression|conclusion|other|right|left)[\s,/&]+)*"
    r"(?:lungs?|parenchyma|airways?|pleurae?|spaces?|mediastinum|hila|heart|vessels|vasculature|pericardium|chest|wall|thorax|bones?|"
    r"skeleton|tissues?|abdomen|neck|nodes|findings?|impression|conclusion|other)"
)
_PREFACE = re.compile(
    rf"^(?:{_HEADING}\s*:|\(?\d\d?[.)]|[*#-])\s+(?=\S)|"
    r"^(?:in addition|also|additionally|apart from (?:these|this)|on the other hand|however|"
    r"besides|again|in the current (?:examination|study)|"
    r"as far as (?:can be|it can be|could be) (?:seen|observed|monitored|evaluated)(?: within "
    r"the (?:sections?|limits? of (?:the )?(?:non-?contrast|unenhanced) (?:ct|examination)))?|"
    r"when (?:examined|evaluated|viewed) in the lung (?:parenchyma )?window|when the lung "
    r"(?:parenchyma )?window is (?:examined|evaluated)|"
    r"in (?:the )?(?:evaluation|examination) (?:made )?(?:of|in) (?:the )?(?:both "
    r")?lung(?:s)?(?: parenchyma)?(?: window)?|"
    rf"(?:when|in|on)\b{_NOWHERE}{{0,80}}?\b(?:evaluat|examin|view|assess|section)\w*{_NOWHERE}{{0,60}}(?=\s*[;:]))\s*[;:,]\s*",
    re.IGNORECASE,
)
_IRRELEVANT = re.compile(
    r"^(?:patient\b[\s\d./:-]*|(?:dr|prof)\.?\s+[\w .]+|\d{1,2}[./]\d{1,2}[./]\d{2,4}\.?|[\s\d.,:/-]+)$", re.IGNORECASE
)


@bounded
@lru_cache(maxsize=16384)  # every check compares with the same impressions
def american(sentence: str) -> str:
    """Return a sentence in the terms that US radiologists use, with a capital at its beginning."""
    sentence = in_full(sentence)
    for pattern, replacement in _TERMS:
        sentence = pattern.sub(replacement, sentence)
    sentence = _DISAGREES.sub(_agreeing, sentence)
    return capitalised(sentence)


@lru_cache(maxsize=16384)
def in_full(sentence: str) -> str:
    """Return a sentence with its contractions and shortest abbreviations written out: "isn't", "b/l", "w/o"."""
    for pattern, replacement in _SHORT:
        sentence = pattern.sub(replacement, sentence)
    return sentence


def _agreeing(match: re.Match[str]) -> str:
    """Return a singular subject with its own verb; one that goes on to a plural keeps the verb that it has."""
    if re.search(r"\bscarring\s+\w+s\b", match["subject"], re.IGNORECASE):
        return match.group()
    verb = {"are": "is", "were": "was"}[match["verb"].lower()]
    return f"{match['begin']}{match['subject']}{verb}"


def without_preface(sentence: str) -> str:
    """Return a sentence without a leading "as far as can be seen;" or "in addition,"; whole where nothing follows."""
    rest = sentence
    while match := _PREFACE.match(rest):
        if not rest[match.end() :].strip(" .;"):
            return sentence
        rest = rest[match.end() :]
    return capitalised(rest)


def is_irrelevant(sentence: str) -> bool:
    """Return whether a sentence does not belong to a report: a patient number, a date, a name (Figure S2, rule 4)."""
    return bool(_IRRELEVANT.match(sentence.strip()))


def capitalised(text: str) -> str:
    """Return `text` with a capital first letter."""
    text = text.strip()
    return text[:1].upper() + text[1:]
