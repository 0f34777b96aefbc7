"""Sides and lobes that a text names, in a form that two wordings of the same place share."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SIDES: Final = {
    "right": re.compile(r"\bright(?:-sided|ward)?\b|\bdextro", re.IGNORECASE),
    "left": re.compile(r"\bleft(?:-sided|ward)?\b|\blevo", re.IGNORECASE),
}
_BOTH = re.compile(
    r"\b(?:bilateral(?:ly)?|both(?!\s+(?:larger|smaller|wider|greater|of\s+which|the|are|were|measur\w*|stable|unchanged|new))|"
    r"either|neither\s+(?:lung|side|hemithorax)|main(?:stem)?\s+bronchi|biapical|bibasilar|bibasal)\b",
    re.IGNORECASE,
)
_LOBES: Final = {
    lobe: re.compile(
        rf"\b{lobe}(?:(?:\s*[,/]\s*|\s+)(?:and|or|as|well|upper|middle|lower|lung|left|right|&)){{0,4}}\s*[,/]?\s*lob(?:e|es|ar|ectom\w*)\b",
        re.IGNORECASE,
    )
    for lobe in ("upper", "middle", "lower")
}
#: Parts of both lungs.
_PLURAL = re.compile(r"\b(?:apices|bases|lungs|hemi-?thoraces|hila)\b", re.IGNORECASE)
_BASES = re.compile(r"\b(?:bi)?basilar\b|(?<!pleural )(?<!pleural-)\bbases?\b", re.IGNORECASE)
_LUNGS = re.compile(r"\b(?:lungs|hemi-?thoraces)\b", re.IGNORECASE)
_LINGULA = re.compile(r"lingul(?:a|ar)\b|\blingulo", re.IGNORECASE)
_WITHOUT_LOBE = re.compile(r"\bleft lung\s+(upper|lower)\b|\bright lung\s+(upper|middle|lower)\b", re.IGNORECASE)

#: Coronary arteries, whose names have a side.
_CORONARY: Final = (
    (re.compile(r"\bLAD\b|(?<!left )\banterior descending\b", re.IGNORECASE), "left anterior descending"),
    (re.compile(r"\bL?Cx\b|(?<!left )\bcircumflex\b", re.IGNORECASE), "left circumflex"),
    (re.compile(r"\bRCA\b"), "right coronary artery"),
)
_SHORT = re.compile(r"\b(R)([UML])L\b|\b(L)([UL])L\b")
_LONG: Final = {"R": "right", "L": "left", "U": "upper", "M": "middle"}


def _spelled(text: str) -> str:
    """Write out ``RUL``, ``RML``, ``RLL``, ``LUL``, ``LLL``, and the coronary arteries."""

    def lobe(match: re.Match[str]) -> str:
        side, level = (part for part in match.groups() if part)
        return f"{_LONG[side]} {'lower' if level == 'L' else _LONG[level]} lobe"

    for pattern, name in _CORONARY:
        text = pattern.sub(name, text)
    return _SHORT.sub(lobe, text)


@lru_cache(maxsize=16384)  # a report is compared with each of its phrases
def sides(text: str) -> frozenset[str]:
    """Return which of ``right`` and ``left`` a text names; ``both`` and ``bilateral`` name both.

    "Left" and "right" count wherever they stand, hearts and kidneys included: this is about what must survive, not
    about where a finding is.
    """
    text = _spelled(text)
    named = {side for side, pattern in _SIDES.items() if pattern.search(text)}
    return frozenset({"right", "left"} if _BOTH.search(text) else named)


@lru_cache(maxsize=16384)
def lobes(text: str) -> frozenset[str]:
    """Return which of ``upper``, ``middle``, ``lower`` lobe and ``lingula`` a text names."""
    text = _spelled(text)
    named = {lobe for lobe, pattern in _LOBES.items() if pattern.search(text)}
    named |= {word.lower() for match in _WITHOUT_LOBE.finditer(text) for word in match.groups() if word}
    if _LINGULA.search(text):
        named.add("lingula")
    return frozenset(named)


def places(text: str) -> frozenset[str]:
    """Return the sides and lobes of a text together."""
    return sides(text) | lobes(text)


def implied(text: str) -> frozenset[str]:
    """Return what the anatomy adds: the middle lobe is right, the lingula left and upper, the bases are lower lobes."""
    named = lobes(text)
    extra = (
        ({"lower"} if _BASES.search(text) else set())
        | ({"right"} if "middle" in named else set())
        | ({"left", "upper"} if "lingula" in named else set())
    )
    return frozenset(extra)


def lost(source: str, target: str) -> list[str]:
    """Return the sides and lobes of `source` that `target` does not name, sorted."""
    missing = places(source) - places(target) - implied(target)
    if _LUNGS.search(target) and places(source) >= {"right", "left"} <= missing:
        missing -= {"right", "left"}  # "both lungs" are the lungs
    return sorted(missing)


def invented(target: str, sources: str) -> list[str]:
    """Return the sides and lobes of `target` that `sources` do not name, sorted."""
    new = places(target) - places(sources) - implied(sources)
    return sorted(new - sides(target) if len(sides(target)) > 1 and _PLURAL.search(sources) else new)


def clashes(first: str, second: str) -> bool:
    """Return whether two texts cannot be about the same place: they name sides, or lobes, that have none in common."""
    for of in (sides, lobes):
        here, there = of(first), of(second)
        if here and there and not here & there:
            return True
    return False
