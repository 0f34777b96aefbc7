"""The anatomical region of a sentence, from the concepts that it names."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from curation.text.lexicon import mentions

_NAMED: Final = (  # the region that a sentence names outright; the first that matches decides
    ("N", re.compile(r"\b(?:thyroid|lower neck|supraclavicular|cervical lymph)", re.IGNORECASE)),
    (
        "H",
        re.compile(
            (
                r"\bmediastinal (?:main |major |large |great )?vascular|\b(?:main|great|major) vascular "
                r"struct|\bpericardi|\bheart\b"
            ),
            re.IGNORECASE,
        ),
    ),
    (
        "L",
        re.compile(
            (
                r"\b(?:lungs?\b|pulmonary (?!arter|trunk|vein|conus|vascular|embol|hypert)|pleura|trachea|"
                r"bronch|hemi-?thora|fissure|parenchyma window)"
            ),
            re.IGNORECASE,
        ),
    ),
    ("M", re.compile(r"\b(?:o?esophag|hiatal|hiatus)", re.IGNORECASE)),
    (
        "A",
        re.compile(
            r"\b(?:upper abdom|liver|kidney|renal|spleen|adrenal|gall ?bladder|pancrea|stomach|hepato)", re.IGNORECASE
        ),
    ),
    ("M", re.compile(r"\b(?:mediastin|hilar|paratracheal|subcarinal|prevascular)", re.IGNORECASE)),
    ("C", re.compile(r"\b(?:breast|axill|chest wall|subcutan|skin|gyna?ecomast|pectoral)", re.IGNORECASE)),
    ("B", re.compile(r"\b(?:bone|vertebra|ribs?\b|stern|disc\b|neural foram|scolio|kypho|osteo)", re.IGNORECASE)),
    ("H", re.compile(r"\b(?:aort|coronar|arter|pulmonary trunk|vascular|cardi|athero|atri)", re.IGNORECASE)),
)


def region_of(sentence: str, *, before: str = "L") -> str:
    """Return the letter of the region that a sentence belongs to.

    Parameters
    ----------
    sentence
        As written; its preface ("in the lung window;") is ignored where something follows.
    before
        The region of the sentence before, which one that names nothing belongs to as well.
    """
    for letter, pattern in _NAMED:
        if pattern.search(sentence):
            return letter
    votes = Counter(found.concept.region for found in mentions(sentence) if found.concept.region)
    best = max(votes.values(), default=0)
    # Of equal regions, the one that is named first.
    return next((letter for letter in votes if letter and votes[letter] == best), before)
