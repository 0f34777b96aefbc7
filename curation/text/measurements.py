"""Sizes and other numbers in a report: find them, round them by the paper's rule, compare them.

Rule 6 of the extraction (paper, Figure S4): centimetres to one decimal, millimetres to a whole number. Arithmetic is
decimal, and halves are rounded up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

from curation.text.bounded import require_numbers

_NUMBER: Final = r"\d+(?:\.\d+|,\d+(?=\s*(?:x|X|\*|\u00d7|mm\b|cm\b)))?"
_JOIN: Final = r"\s*(?:x|X|\*|\u00d7)\s*|\s*[-\u2013]\s*|\s+to\s+"
_UNIT: Final = r"mm|cm|millimet(?:er|re)s?|centimet(?:er|re)s?"
_SIZE = re.compile(
    rf"(?<![\w.])({_NUMBER}(?:(?:\s*(?:mm|cm))?(?:{_JOIN}){_NUMBER}){{0,4}})\s*-?({_UNIT})(?![A-Za-z])", re.IGNORECASE
)
_COVID = re.compile(r"\bcovid\W{0,2}(?:19)?\b", re.IGNORECASE)
#: "4 and 3 mm": a unit that two sizes share.
_SHARED_UNIT = re.compile(
    rf"(?<![\w.])(?<!segment )(?<!segments )({_NUMBER})(?=\s*(?:,|and|or)\s+{_NUMBER}\s*-?(mm|cm)\b)", re.IGNORECASE
)
_BARE = re.compile(rf"[A-Za-z]{{0,40}}-?{_NUMBER}[A-Za-z]*")
_ORDINAL = re.compile(r"^(\d+)(?:st|nd|rd|th)$")
_PART = re.compile(r"(\d+(?:[.,]\d+)?)(\s*(?:mm|cm)\b)?")
_WORDS: Final = {
    word: str(number)
    for number, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    )
} | {
    word: str(number)
    for number, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"], 1
    )
}


_ORDINALS: Final = "|".join(word for word in _WORDS if word.endswith(("th", "st", "nd", "rd")) and word != "zeroth")
_RANGE = re.compile(
    rf"\b(?P<letter>[TLC](?=\d))?(?P<first>\d{{1,2}}(?=(?:st|nd|rd|th)\b|\s*(?:-|to|through)\s*[TLC]\d)|{_ORDINALS})(?:st|nd|rd|th)?"
    rf"\s*(?:-|\u2013|to|through)\s*[TLC]?(?P<last>\d{{1,2}}|{_ORDINALS})(?:st|nd|rd|th)?\b(?!\s*(?:mm|cm))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Size:
    """One size as written: ``9x5x6 mm`` has three numbers, ``2-3 mm`` two."""

    start: int
    end: int
    numbers: tuple[Decimal, ...]  #: in the unit of `unit`
    unit: str  #: ``mm`` or ``cm``
    text: str

    @property
    def millimetres(self) -> tuple[Decimal, ...]:
        """The numbers in mm."""
        factor = 10 if self.unit == "cm" else 1
        return tuple((number * factor).normalize() for number in self.numbers)

    @property
    def largest(self) -> Decimal:
        """The largest number in mm."""
        return max(self.millimetres)


_SUBCENTIMETER = re.compile(r"\bsub-?centi", re.IGNORECASE)


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def sizes(text: str) -> list[Size]:
    """Return every size with a unit, in order of its place."""
    require_numbers(text)
    found = []
    for match in _SIZE.finditer(text):
        unit = "cm" if match[2].lower().startswith("c") else "mm"
        numbers = []
        for part in _PART.finditer(match[1]):
            own = (part[2] or unit).strip().lower()
            factor = {("cm", "mm"): Decimal(10), ("mm", "cm"): Decimal("0.1")}.get((own, unit), Decimal(1))
            numbers.append(_decimal(part[1]) * factor)
        found.append(Size(match.start(), match.end(), tuple(numbers), unit, match.group()))
    return found


def round_sizes(text: str) -> str:
    """Return `text` with every size rounded by the rule; what is already as short stays as it is written."""
    require_numbers(text)
    return _SIZE.sub(_round_size, text)


def _round_size(match: re.Match[str]) -> str:
    is_cm = match[2].lower().startswith("c")
    rounded = _PART.sub(lambda part: _rounded(part, is_cm=is_cm), match[1])
    return rounded + match.group()[len(match[1]) :]


def _rounded(part: re.Match[str], *, is_cm: bool) -> str:
    own = (part[2] or "").strip().lower()
    places = Decimal("0.1") if (own == "cm" if own else is_cm) else Decimal(1)
    value = _decimal(part[1])
    fixed = value.quantize(places, ROUND_HALF_UP)
    if fixed == value:
        return part.group()
    if fixed == 0:
        return part.group()  # "0.3 mm" is not 0 mm
    return f"{fixed}{part[2] or ''}"


@lru_cache(maxsize=16384)  # a report is compared with each of its phrases
def numbers(text: str) -> frozenset[str]:
    """Return what must survive of the numbers of `text`: lengths as ``"28 mm"``, all else as written (``"t12"``).

    ``9x5x6 mm`` and ``9 x 5 x 6 mm`` give the same, and so do ``43 mm`` and ``4.3 cm``.
    """
    text = _COVID.sub("", text)
    while (whole := _SHARED_UNIT.sub(r"\1 \2", text)) != text:
        text = whole
    lengths = {_length(value) for size in sizes(text) for value in size.millimetres}
    rest = _SIZE.sub(" ", text)
    bare = {_bare(match.group()) for match in _BARE.finditer(rest)}
    return frozenset(lengths | bare)


def _length(value: Decimal) -> str:
    return f"{value.normalize():f} mm"


def _bare(token: str) -> str:
    return _ORDINAL.sub(r"\1", token.lower().lstrip("-").replace(",", "."))


def lost(source: str, target: str, *, rounded: bool = False) -> list[str]:
    """Return the numbers of `source` that `target` does not have, sorted.

    Parameters
    ----------
    source, target
        Texts.
    rounded
        Whether `target` may have lengths rounded by the rule.
    """
    there = set(numbers(target)) | _spelled(target) | _said_small(target) | _between(target)
    return sorted(number for number in numbers(source) if not _forms(number, rounded=rounded) & there)


def invented(target: str, sources: Iterable[str], *, rounded: bool = False) -> list[str]:
    """Return the numbers of `target` that none of `sources` has, sorted; the reverse of :func:`lost`."""
    allowed: set[str] = set()
    for source in sources:
        allowed |= _spelled(source) | _said_small(source) | _between(source)
        for number in numbers(source):
            allowed |= _forms(number, rounded=rounded)
    return sorted(numbers(target) - allowed)


def _said_small(text: str) -> frozenset[str]:
    """Return the length that "subcentimeter" names: what is "less than 1 cm" in other words."""
    return frozenset({"10 mm"} if _SUBCENTIMETER.search(text) else set())


@lru_cache(maxsize=16384)
def _between(text: str) -> frozenset[str]:
    """Return the numbers that a range of ribs or vertebrae passes over: "fourth through sixth", "T4 to T6"."""
    found: set[str] = set()
    for match in _RANGE.finditer(text):
        first, last = (_WORDS.get(match[n].lower(), match[n]) for n in ("first", "last"))
        letter = (match["letter"] or "").lower()
        found |= {f"{letter}{n}" for n in range(int(first) + 1, min(int(last), int(first) + 13))}
    return frozenset(found)


@lru_cache(maxsize=16384)
def _spelled(text: str) -> frozenset[str]:
    """Return the numbers that stand as words, for ``two nodules`` may become ``2 nodules`` and the reverse."""
    return frozenset(_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in _WORDS)


@lru_cache(maxsize=16384)
def _forms(number: str, *, rounded: bool) -> frozenset[str]:
    forms = {number, f"{number} mm"} if number.isdigit() else {number}  # "23 on the right and 22 mm on the left"
    if rounded and number.endswith(" mm"):
        value = Decimal(number[:-3])
        forms.add(_length(value.quantize(Decimal(1), ROUND_HALF_UP)))
        forms.add(_length((value / 10).quantize(Decimal("0.1"), ROUND_HALF_UP) * 10))
    return frozenset(forms)
