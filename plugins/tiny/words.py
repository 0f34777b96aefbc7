"""From a finding's text to numbers: hashed words for what it looks like, known words for where it lies."""

from __future__ import annotations

import re
import zlib

#: Rows of the word vectors. A word's row is a hash, so that no vocabulary has to travel with the weights.
BUCKETS = 4096

#: Words, and beginnings of words, that name a place; one word may hold several ("anteromedial").
PLACES = (
    "right", "left", "both", "bilateral", "upper", "middle", "lower", "apic", "anter", "poster", "lateral", "medial",
    "superior", "inferior", "lingul", "basal",
)  # fmt: skip

#: A text beyond this many words is cut; what is cut changes nothing but the mean of its word vectors.
MAX_WORDS = 64

#: Places that are words of their own; the others are beginnings.
_WHOLE = frozenset({"right", "left", "both", "bilateral", "upper", "middle", "lower"})

#: What may stand before a place in one word: other places ("posterolateral"), both sides ("biapical").
_BEFORE = r"(?:(?:anter|poster|super|infer|medi|later|apic|bas)o|bi(?!lateral)|mid|sub)*"
_HOLDS = {
    place: re.compile(rf"{place}(?:ly|most|wards?|sided)?$" if place in _WHOLE else _BEFORE + place) for place in PLACES
}

_PLURAL = re.compile(r"(?<=ss|sh|ch)es$|(?<=x)es$")
_WORD = re.compile(r"[a-z]+")
_SIZE = re.compile(r"(\d+(?:[.,]\d+)?)\s*(?:x\s*\d+(?:[.,]\d+)?\s*)?(mm|cm)\b")
_PLAIN = frozenset({"lobe", "lobes", "lung", "lungs", "segment", "segments"})
_SMALL = frozenset({"a", "an", "and", "at", "by", "in", "is", "it", "of", "on", "or", "the", "to", "up", "with"})


def count_words(text: str) -> int:
    """Count the words of a text, of which the first `MAX_WORDS` are read."""
    return len(_WORD.findall(text.lower()))


def looks(text: str) -> list[int]:
    """Return the rows of the word vectors that a text touches: words, their beginnings, and sizes in four steps.

    Parameters
    ----------
    text
        Free text; it may be empty.

    Returns
    -------
    list of int
        At least one row, each below `BUCKETS`; the first is there for every text.
    """
    lowered = text.lower()
    tokens = ["<any>"]
    for word in _WORD.findall(lowered)[:MAX_WORDS]:
        if word not in _SMALL and word not in _PLAIN and not any(_holds(word, place) for place in PLACES):
            tokens += [_singular(word), f"{word[:5]}~"]
    tokens += [f"<{_step(number, unit)}>" for number, unit in _SIZE.findall(lowered)[:4]]
    return [zlib.crc32(token.encode()) % BUCKETS for token in dict.fromkeys(tokens)]


def places(text: str) -> list[float]:
    """Return for every one of `PLACES` whether the first words of a text hold it, as 0 or 1."""
    words = _WORD.findall(text.lower())[:MAX_WORDS]
    return [float(any(_holds(word, place) for word in words)) for place in PLACES]


def _holds(word: str, place: str) -> bool:
    return _HOLDS[place].match(word) is not None


def _singular(word: str) -> str:
    """Return one token for singular and plural: "nodule" and "nodules", "mass" and "masses"."""
    return _PLURAL.sub("", word).rstrip("s")


def _step(number: str, unit: str) -> str:
    millimetres = float(number.replace(",", ".")) * (10 if unit == "cm" else 1)
    return "tiny" if millimetres < 6 else "small" if millimetres < 12 else "medium" if millimetres < 30 else "large"
