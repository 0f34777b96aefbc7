"""A finding's free text as a structured query: what, how big, how many, where, and whether it is there at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .lexicon import MODIFIERS, SETTINGS, TERMS, VAGUE_TERMS, Kind
from .places import Places, read_places


@dataclass(frozen=True)
class Query:
    """The query of a text.

    Attributes
    ----------
    kind
        The kind of finding to segment.
    places
        The zones that it occupies, where it is strongest, and that it spares.
    settings
        ``"peripheral"``, ``"central"``, ``"fissural"``, ``"dependent"`` ...: where inside a place.
    sizes_mm
        Stated diameters, one a lesion (the longest of "6 x 4 mm"), largest first; empty when none is stated.
    largest_mm
        Upper bound of the diameter ("subcentimeter", "up to 5 mm"), or None.
    smallest_mm
        Lower bound of the diameter ("larger than 3 cm"), or None.
    count
        Stated number of lesions, or None.
    plural
        Whether several are meant.
    modifiers
        ``"calcified"``, ``"part-solid"``, ``"diffuse"`` ...
    absent
        Whether the text says that the finding is not there.
    """

    kind: Kind
    places: Places = field(default_factory=Places)
    settings: frozenset[str] = frozenset()
    sizes_mm: tuple[float, ...] = ()
    largest_mm: float | None = None
    smallest_mm: float | None = None
    count: int | None = None
    plural: bool = False
    modifiers: frozenset[str] = field(default_factory=frozenset)
    absent: bool = False

    @property
    def category(self) -> str:
        """The category code, ``"1a"`` to ``"2h"``."""
        return self.kind.category


#: Negations that leave the finding where it is: of a change, or of a doubt (the pseudo-negations of NegEx).
_NOT_NEGATED = re.compile(
    r"\b(?:no|not|without)\s+(?:(?:any|an?|definite|significant|substantial|relevant|appreciable|obvious|noticeable|interval"
    r"|further|major)\s+)*(?:changed?|increased?|decreased?|growth|enlargement|progression|regression|reduction|difference"
    r"|doubt(?:ful)?|question|uncertainty)\b"
    r"(?:\s+(?:in|of)\s+(?:the\s+)?(?:size|sizes|number|extent|appearance|volume|density|diameter)\b)?"
)
#: Negated comparisons are bounds.
_NO_MORE = re.compile(
    r"\b(?:no|not)\s+(?:more|larger|bigger|greater|wider|thicker)\s+than|\b(?:not|without)\s+exceeding"
)

#: A negation reaches to the end of its clause: "no effusion or thickening, but ..." (as in NegEx, Chapman et al. 2001).
_NEGATED = re.compile(
    r"\b(?:no(?!n)(?:\s+(?:evidence|signs?|definite|significant|other|new|residual)(?:\s+of)?)*|without(?:\s+evidence\s+of)?"
    r"|absen(?:ce\s+of|t)|free\s+of|negative\s+for|resolution\s+of|resolved)\b[^,;.:]*?"
    r"(?=[,;.:]|\b(?:but|however|with|in\s+the|at\s+the|present|seen)\b|$)"
)
_GONE = re.compile(
    r"\b(?:(?:is|are|was|were|has|have)\s+(?:not\s+(?:seen|observed|present|detected|identified)|resolved))\b"
)
#: Clauses that name a second, accompanying finding.
_ASIDE = re.compile(
    r"\b(?:with(?:\s+(?:minimal|mild|some|an?|the|surrounding|associated|accompanying|adjacent|peripheral))*\s+"
    r"(?:air[- ]bronchograms?|[\w-]+(?:\s+[\w-]+)?\s+(?:halo|thickening|calcifications?|extension))"
    r"|adjacent\s+to|surrounding\s+(?=the)|next\s+to|secondary\s+to|due\s+to|accompan\w+\s+by|anterior\s+to"
    r"|consistent\s+with\s+(?=pulmonary))[^,;.]*"
)
_PRIOR = re.compile(
    r"\(?\b(?:not\s+present|unchanged|stable|new|increased|decreased)?\s*(?:on|since|from)\s+(?:the\s+)?prior[^,;.]*"
)

#: Multiplication sign and dashes, as reports have them.
_PLAIN = str.maketrans({"\u00d7": "x", "\u2013": "-", "\u2014": "-", "\u2011": "-", "\u2019": "'"})
_NUMBER = r"\d+(?:[.,]\d+)?"
_UNIT = r"(?:mm|cm|millimet\w+|centimet\w+)"
_SIZE = re.compile(
    rf"(?:(?P<most>(?:less|smaller)\s+than|up\s+to|below|under|at\s+most|maximum|<|≤)"
    rf"|(?P<least>(?:more|larger|bigger|greater)\s+than|over|above|exceeding|at\s+least|>|≥))?\s*(?:of\s+)?"
    rf"(?<![\w.-])(?P<numbers>(?:{_NUMBER}(?:\s*-?\s*{_UNIT})?\s*(?:x|by)\s*|{_NUMBER}\s*(?:-|to)\s*)*{_NUMBER})"
    rf"\s*-?\s*(?P<unit>{_UNIT})\b"
)
_LENGTH = re.compile(rf"(?P<number>{_NUMBER})(?:\s*-?\s*(?P<unit>{_UNIT}))?")
_SMALL = {r"sub-?centimet": 10.0, r"milli?metric": 5.0}
_COUNTS = {
    "a single": 1,
    "single": 1,
    "solitary": 1,
    "one": 1,
    "one or two": 2,
    "two": 2,
    "both": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "a dozen": 12,
}
_LESIONS = r"(?:[\w-]+\s+){0,5}?(?:nodul|mass|lesion|cyst|cavit|bulla|opacit|consolidat|bleb)\w*"
_NAMED = "one|two|three|four|five|six|seven|eight|nine|ten"
_COUNTED = re.compile(
    rf"\b(?P<word>a single|single|solitary|one or two|a dozen|{_NAMED}|[1-9]\d|[2-9])\s+(?!mm|cm|x\b|by\b|-|lung)"
    + _LESIONS
)
_IN_BRACKETS = re.compile(rf"\((?P<word>{_NAMED}|[1-9]\d|[2-9])\)")
_PLURAL = re.compile(
    r"nodules|masses|lesions|opacities|densities|consolidations|cysts|bullae|blebs|cavities|areas|bands|metastases|effusions"
    r"|changes|scattered|multiple|several|few|numerous|many|multifocal|bilateral|both"
)


def parse(text: str) -> Query:
    """Read one finding.

    Parameters
    ----------
    text
        Free text in English, as a report or a rewritten finding has it.

    Returns
    -------
    Query
        Never fails: a text without a known term asks for :attr:`Kind.OTHER`.
    """
    text = re.sub(r"\s+", " ", text.strip().lower()).translate(_PLAIN)
    text = _NOT_NEGATED.sub(" ", _NO_MORE.sub("up to", text))
    affirmed = _NEGATED.sub(" ", text)
    kind, negated = _kind(affirmed), _kind(text)
    absent = (kind is None and negated is not None) or _GONE.search(text) is not None
    places = read_places(_PRIOR.sub(" ", text if absent else affirmed))
    modifiers = frozenset(name for name, pattern in MODIFIERS.items() if pattern.search(affirmed))
    sizes, largest, smallest = _sizes(affirmed)
    count = _count(affirmed)
    return Query(
        kind=kind or negated or Kind.OTHER,
        places=places,
        settings=_settings(_ASIDE.sub(" ", affirmed)),
        sizes_mm=sizes,
        largest_mm=largest,
        smallest_mm=smallest,
        count=count,
        plural=count != 1 and (_PLURAL.search(affirmed) is not None or (count or 0) > 1),
        modifiers=modifiers,
        absent=absent,
    )


def _kind(text: str) -> Kind | None:
    """Return the kind of the first term: plain terms before vague ones, the finding itself before its asides."""
    for terms in (TERMS, VAGUE_TERMS):
        for candidate in (_ASIDE.sub(" ", text), text):
            for start in (match.start() for match in re.finditer(r"(?<![\w-])\w", candidate)):
                for pattern, kind in terms:
                    if pattern.match(candidate, start):
                        return kind
    return None


def _settings(text: str) -> frozenset[str]:
    """Return the settings that restrict; a mere preference ("predominantly peripheral") and opposites do not."""
    firm = re.sub(r"\b(?:predominant(?:ly)?|mainly|mostly|more|most|especially|particularly)\b[^,;.]*", " ", text)
    found = {name for name, pattern in SETTINGS.items() if pattern.search(firm)}
    if {"peripheral", "central"} <= found:
        found -= {"peripheral", "central"}
    return frozenset(found)


def _sizes(text: str) -> tuple[tuple[float, ...], float | None, float | None]:
    """Return the stated diameters, the upper bound and the lower bound, in mm."""
    sizes: list[float] = []
    bounds: list[float] = []
    least: list[float] = []
    for match in _SIZE.finditer(text):
        found = least if match["least"] else bounds if match["most"] else sizes
        found.append(max(_lengths(match["numbers"], match["unit"])))
    bounds = [max(bounds)] if bounds else []  # "right up to 20 mm and left up to 12 mm"
    bounds += [limit for pattern, limit in _SMALL.items() if re.search(pattern, text)]
    bound = min(bounds, default=None)
    if sizes and bound is not None:
        bound = max(bound, *sizes)
    return tuple(sorted(sizes, reverse=True)), bound, max(least, default=None)


def _lengths(numbers: str, unit: str) -> list[float]:
    """Return the lengths of one lesion in mm; a number without a unit has that of the next one ("1.5 cm x 12 mm")."""
    found = []
    for match in reversed(list(_LENGTH.finditer(numbers))):
        unit = match["unit"] or unit
        found.append(float(match["number"].replace(",", ".")) * (10.0 if unit.startswith("c") else 1.0))
    return found


def _count(text: str) -> int | None:
    match = _COUNTED.search(text) or _IN_BRACKETS.search(text)
    if match is None:
        return None
    word = match["word"]
    return _COUNTS.get(word) or int(word)
