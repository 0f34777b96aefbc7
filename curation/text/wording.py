"""US radiology English for the terms that translated reports use (paper, Figure S2, rule 1); numbers stay untouched."""

from __future__ import annotations

import re
from typing import Final

#: What is replaced, in this order. Our own list, made from the translated reports' commonest phrases.
_TERMS: Final = tuple(
    (re.compile(rf"\b(?:{pattern})", re.IGNORECASE), replacement)
    for pattern, replacement in (
        (
            r"pleuro-?parenchymal seque?la[el]?(?: (?:changes?|densit(?:y|ies)|density increases?))?",
            "pleuroparenchymal scarring",
        ),
        (
            (
                r"(?:fibrotic )?seque?la[el]? (?:fibrotic |parenchymal )?(?:changes?|densit(?:y|ies)(?: "
                r"increases?)?|findings?)"
            ),
            "scarring",
        ),
        (r"seque?la[el]?\b", "scarring"),
        (r"millimetric", "subcentimeter"),
        (r"calibrations? (?:was|is|were|are) (?:normal|natural)", "is normal in caliber"),
        (r"calibrations?", "caliber"),
        (r"space[- ]occupying lesions?", "lesion"),
        (
            (
                r"(?:(?:that|which) )?entered the cross-sectional area|within the cross-sectional area|"
                r"entering the (?:cross-section(?:al)?|examination) area|in the study area|"
                r"included in the (?:sections?|examination|study)|within the (?:sections?|examined area)|"
                r"sections visuali[sz]ed"
            ),
            "within the field of view",
        ),
        (r"(?:vertebral?|vertebrae) corpus", "vertebral body"),
        (r"corpus heights?", "body heights"),
        (r"corpus", "body"),
        (r"ground[- ]glass|frosted[- ]glass", "ground-glass"),
        (
            (
                r"bud(?:ding|ded)?[- ](?:tree|branch)(?: (?:appearance|view|pattern))?|branch(?:es)? with "
                r"buds?(?: (?:appearance|view|pattern))?"
            ),
            "tree-in-bud opacities",
        ),
        (r"atelectesis", "atelectasis"),
        (r"atheroma plaques?", "atheromatous plaques"),
        (r"latera?l?abasal|lateralobasal", "laterobasal"),
        (r"hepatosteatosis", "hepatic steatosis"),
        (r"bone structures? (?:is|are|were|was) natural", "bone structures are normal"),
        (r"(?:is|are|was|were) natural\b", "is normal"),
        (r"densit(?:y|ies) increases?", "increased density"),
        (r"air bronchograms? sign", "air bronchogram"),
        (r"pneumonic infiltrations?", "pneumonic infiltration"),
        (r"lymph nodes? (?:reaching|in|of) pathological (?:dimensions?|size)", "pathologically enlarged lymph nodes"),
        (
            r"trachea(?: and|,) both main bronchi (?:are|were) open",
            "the trachea and both main bronchi are patent",
        ),
    )
)
_PREFACE = re.compile(
    r"^(?:in addition|also|additionally|apart from (?:these|this)|on the other hand|however|"
    r"besides|again|in the current (?:examination|study)|"
    r"as far as (?:can be|it can be|could be) (?:seen|observed|monitored|evaluated)(?: within "
    r"the (?:sections?|limits? of (?:the )?(?:non-?contrast|unenhanced) (?:ct|examination)))?|"
    r"when (?:examined|evaluated|viewed) in the lung (?:parenchyma )?window|when the lung "
    r"(?:parenchyma )?window is (?:examined|evaluated)|"
    r"in (?:the )?(?:evaluation|examination) (?:made )?(?:of|in) (?:the )?(?:both "
    r")?lung(?:s)?(?: parenchyma)?(?: window)?)\s*[;:,]\s*",
    re.IGNORECASE,
)
_IRRELEVANT = re.compile(
    r"^(?:patient\b[\s\d./:-]*|(?:dr|prof)\.?\s+[\w .]+|\d{1,2}[./]\d{1,2}[./]\d{2,4}\.?|[\s\d.,:/-]+)$", re.IGNORECASE
)


def american(sentence: str) -> str:
    """Return a sentence in the terms that US radiologists use, with a capital at its beginning."""
    for pattern, replacement in _TERMS:
        sentence = pattern.sub(replacement, sentence)
    return capitalised(sentence)


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
