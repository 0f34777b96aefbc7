"""What the classifier sees of a text: its words, pairs of words, and the concepts of the lexicon."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Final

from curation.classifier.spelling import spelled
from curation.classifier.synonyms import in_our_words
from curation.text.bounded import bounded
from curation.text.lexicon import mentions, subject

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"[a-z0]+")
_SAME_PLACE: Final = 14  # characters from the subject within which another finding qualifies it


def stem(word: str) -> str:
    """Return a word without its plural ending; ``bronchus`` and ``mass`` stay as they are."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "is", "us")):
        return word[:-1]
    return word


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case, plurals undone, every number as ``0``."""
    return [stem(word) for word in _WORD.findall(_NUMBER.sub("0", text.lower().replace("-", " ")))]


@bounded
@lru_cache(maxsize=8192)  # training and cross-validation ask about the same phrases many times
def features(text: str) -> frozenset[str]:
    """Return the binary features of one finding.

    Returns
    -------
    frozenset of str
        ``w:`` words, ``b:`` pairs of neighbouring words, ``c:`` concepts anywhere in the text, ``s:`` the subject (the
        first telling finding), ``n:`` findings next to the subject, ``p:`` pairs of findings.
    """
    text = in_our_words(spelled(text))
    tokens = words(text)
    result = {f"w:{word}" for word in tokens} | {f"b:{a} {b}" for a, b in pairwise(tokens)}
    found = mentions(text)
    result |= {f"c:{mention.concept.name}" for mention in found}
    main = subject(found)
    if main is not None:
        findings = [mention for mention in found if mention.concept.finding]
        result |= {f"s:{m.concept.name}" for m in findings if m.start == main.start}
        result |= {f"n:{m.concept.name}" for m in findings if m.start <= main.start + _SAME_PLACE}
        result |= {f"p:{a}+{b}" for a, b in combinations(sorted({m.concept.name for m in findings}), 2)}
    return frozenset(result)
