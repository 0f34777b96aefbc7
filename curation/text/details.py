"""Degree, segment and count: the details that a text gives its findings, and in which two texts differ."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from curation.text import measurements, places

_SEVERITY: Final = {
    "slight": re.compile(r"\b(?:minimal|mild|slight|minor|trace|subtle|faint)(?:ly)?\b", re.IGNORECASE),
    "moderate": re.compile(r"\bmoderate(?:ly)?\b", re.IGNORECASE),
    "severe": re.compile(
        r"(?<!more )(?<!most )\b(?:severe|marked|massive|advanced|pronounced|extensive)(?:ly)?\b", re.IGNORECASE
    ),
}
_LITTLE = re.compile(r"\b(?:small|tiny|thin|little|low-grade|early|faint|borderline)\b", re.IGNORECASE)
_MUCH = re.compile(r"\b(?:significant|prominent|considerabl|intens|widespread|large|dense)", re.IGNORECASE)
_SEGMENTS: Final = {
    "anterior": re.compile(r"\b(?:anterior(?! descending)|antero)", re.IGNORECASE),
    "posterior": re.compile(r"(?:\b|apico|apico-)(?:posterior|postero)", re.IGNORECASE),
    "apical": re.compile(r"\b(?:bi)?ap(?:i(?:cal|co|x|ces)|ex)", re.IGNORECASE),
    "superior": re.compile(r"(?:\b|lingulo-?)superior(?!ly|\s+vena|\s+(?:\w+\s+)?end-?\s?pla)", re.IGNORECASE),
    "inferior": re.compile(r"(?:\b|lingulo-?)inferior(?!ly|\s+vena|\s+(?:\w+\s+)?end-?\s?pla)", re.IGNORECASE),
    "medial": re.compile(r"\bmedi(?:al|o)", re.IGNORECASE),
    "lateral": re.compile(r"(?<!bi)\blater(?:al|o)", re.IGNORECASE),
    "basal": re.compile(r"bas(?:al|ilar)|(?<!pleural )(?<!pleural-)bases?\b", re.IGNORECASE),
    "upper": re.compile(r"\bupper\b(?!\s+(?:abdom|end|part|organ|section|pole))", re.IGNORECASE),
    "lower": re.compile(r"\blower\b(?!\s+(?:abdom|end|border|pole|neck|part|(?:thoracic )?o?esophag))", re.IGNORECASE),
}
_AXES = re.compile(
    r"\bsuperior(?=[\w\s-]{0,40}\bvena\b)|"
    r"\b(?:antero-?posterior|anterior[- ]posterior|postero-?anterior)\w*|\bmediast\w+",
    re.IGNORECASE,
)
_EXACT: Final = {
    word: str(n)
    for n, word in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=2
    )
}
_COUNTED = re.compile(
    rf"\b({'|'.join(_EXACT)}|"
    r"(?<!larger )(?<!largest )(?<!smaller )(?<!other )(?<!than )one(?!\s+(?:of|is|are|was|were|in|at|on)\b)|"
    r"single|solitary|multiple|numerous|many|several|(?:a )?few|innumerable)\s+"
    r"(?:\w+[ -]){0,4}?"
    r"(?:nodul|mass|lesion|cyst|opacit|foc|lymph|stone|calcul|bulla|band|node|metasta|fractur|density|densit|area|cavit|plaque|calcif|consolid)",
    re.IGNORECASE,
)
_THINGS: Final = r"nodule|mass|lesion|cyst|node|stone|fracture|bulla|consolidation"
_ONE = re.compile(rf"\b(?:an?|one|the)\s+(?:[\w.]+[ -]){{0,6}}?(?:{_THINGS})\b", re.IGNORECASE)
_MORE = re.compile(rf"\b(?:{_THINGS})(?:e?s|e)\b|\b(?:calculi|both|bilateral|each)\b", re.IGNORECASE)


@lru_cache(maxsize=16384)
def severity(text: str) -> frozenset[str]:
    """Return the degrees that a text names: ``slight``, ``moderate``, ``severe``."""
    return frozenset(name for name, pattern in _SEVERITY.items() if pattern.search(text))


@lru_cache(maxsize=16384)
def segments(text: str) -> frozenset[str]:
    """Return the directions by which places are named; ``posterobasal`` is ``posterior`` and ``basal``."""
    text = _AXES.sub(" ", text)
    return frozenset(name for name, pattern in _SEGMENTS.items() if pattern.search(text))


@lru_cache(maxsize=16384)
def counts(text: str) -> frozenset[str]:
    """Return how many things a text counts: a number, ``1`` for a single one, ``many``."""
    found = {match[1].lower() for match in _COUNTED.finditer(text)}
    return frozenset(_EXACT.get(word) or ("1" if word in {"one", "single", "solitary"} else "many") for word in found)


#: The lower lobes by another name: no segment of them.
_BASES = re.compile(r"\b(?:bibas\w+|basilar|bases?)\b(?!\s+segment)", re.IGNORECASE)


def compare(source: str, target: str) -> list[str]:
    """Return the severities, segments and counts in which a text differs from its source, in words."""
    problems = []
    for what, of in (("severity", severity), ("segment", segments)):
        lost, new = of(source) - of(target) - places.implied(target), of(target) - of(source) - places.implied(source)
        new = new - {"severe"} if _MUCH.search(source) else new
        new = new - {"basal"} if "lower" in places.lobes(source) and _BASES.search(target) else new
        lost = lost - {"slight"} if _LITTLE.search(target) else lost
        problems += [f"the {what} {name!r} is lost" for name in sorted(lost)]
        problems += [f"the {what} {name!r} is not in its source" for name in sorted(new)]
    exact = {n for n in counts(source) if n != "many"}
    here = counts(target)
    numbers = measurements.numbers(target)
    problems += [f"the count {n} is lost" for n in sorted(exact - here) if n not in numbers and n != "1"]
    named = {
        str(sum(len(size.numbers) == 1 for size in measurements.sizes(source)))
    }  # "nodules of 6 mm and 5 mm" are two
    extra = {n for n in here - counts(source) - named if n not in measurements.numbers(source)}
    if _ONE.search(source) and not counts(source):
        extra -= {"1"}
    if counts(source) or extra - {"many"} or (_ONE.search(source) and not _MORE.search(source)):
        problems += [f"the count {n!r} is not in its source" for n in sorted(extra)]
    return problems
