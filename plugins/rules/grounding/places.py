"""Where a text says that a finding lies: sides, lobes, segments and zones, and which of them it leaves out.

A small grammar rather than a list of phrases. A text is read as a sequence of words that name a side, a level with its
noun (upper lobe, lower zone), or a part (posterior, basal, lingular); commas and conjunctions end a group. A group that
lacks something borrows it from its neighbours, so that "the medial and posterior basal segments of the left lower lobe"
is two places in the left lower lobe.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Place:
    """A part of the lungs.

    Attributes
    ----------
    side
        None: both lungs.
    level
        ``"upper lobe"``, ``"middle lobe"``, ``"lower lobe"``, ``"upper zone"``, ``"middle zone"``, ``"lower zone"``,
        ``"apex"``, ``"base"`` or None: the whole lung.
    parts
        Directions inside it, e.g. ``{"posterior", "basal"}`` or ``{"lingula", "inferior"}``.
    """

    side: Side | None = None
    level: str | None = None
    parts: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole lung or both."""
        return self.level is None and not self.parts


@dataclass(frozen=True)
class Places:
    """Places that a finding takes up (none: anywhere), that it is strongest in, and that it spares."""

    within: tuple[Place, ...] = ()
    emphasised: tuple[Place, ...] = ()
    spared: tuple[Place, ...] = ()


_ABBREVIATED: dict[str, tuple[Side, str]] = {
    "rul": ("right", "upper"),
    "rml": ("right", "middle"),
    "rll": ("right", "lower"),
    "lul": ("left", "upper"),
    "lll": ("left", "lower"),
}
_PARTS = "anterior|posterior|lateral|medial|superior|inferior|apical|basal|basilar"
#: Bound forms: posterobasal, apicoposterior, anteromedial, mediobasal ...
_BOUND = {
    "antero": "anterior",
    "postero": "posterior",
    "latero": "lateral",
    "medio": "medial",
    "apico": "apical",
    "supero": "superior",
    "infero": "inferior",
}
_EMPHASIS = (
    r"predominant(?:ly)?|predominat\w+|prominent(?:ly)?|pronounced|especially|particularly|mainly|mostly|most|more"
    r"|greater|greatest|largest|dominant"
)
#: "predominantly subpleural": emphasises a setting, not the places that follow.
_SETTING_EMPHASIS = re.compile(
    r"\b(?:predominant(?:ly)?|mainly|mostly|particularly|especially)\s+"
    r"(?:(?:peripher|sub-?pleural|central|peri-?hilar|depend|peri-?bronch|broncho-?vascular)\w*(?:\s+and\s+|\s*)?)+"
)
_WORD = re.compile(
    rf"""
      (?P<abbreviated>\b(?:{"|".join(_ABBREVIATED)})\b)
    | (?P<both>\bboth\b|\bbilateral(?:ly)?\b|\bbi(?=apical|basal|basilar))
    | (?P<side>\bright\b|\bleft\b)
    | (?P<bound>\b(?:{"|".join(_BOUND)})-?(?:{_PARTS})\b)
    | (?P<lingula>\blingul\w+)
    | (?P<apex>\bap(?:ex|ices)\b)
    | (?P<base>\bbases?\b|\bbi-?basal\b|\bbasally\b)
    | (?P<level>\b(?:upper|middle|mid|lower)\b)
    | (?P<lobe>\blob(?:es?|ar)\b)
    | (?P<zone>\b(?:zones?|thirds?|fields?)\b|\b(?:half|halves)\b)
    | (?P<portion>\b(?:part|portion|aspect|region)s?\b)
    | (?P<part>(?<![-\w])(?:{_PARTS})\b|(?<=\bbi)(?:apical|basal|basilar))
    | (?P<lung>\blungs?\b|\bhemithora(?:x|ces)\b|\bpleura\b|\bparenchyma\b)
    | (?P<segment>\bsegments?\b)
    | (?P<narrow>\b(?:includ|involv|affect)ing\b)
    | (?P<emphasis>\b(?:{_EMPHASIS})\b)
    | (?P<stop>[;.:]|\bwith\b)
    | (?P<separator>,|/|&|\band\b|\bor\b|\bas\s+well\s+as\b|\bplus\b)
    """,
    re.VERBOSE,
)
_SPARING = re.compile(
    r"\b(?:(?:relative(?:ly)?\s+|with\s+)*spar(?:ing|es)(?:\s+of)?|except(?:ing)?(?:\s+(?:for|in))?|excluding|other\s+than"
    r"|apart\s+from|aside\s+from|but\s+not(?:\s+in)?|not\s+(?:in|involving|affecting|extending\s+(?:to|into))"
    r"|without\s+involvement\s+of|rather\s+than|no\s+involvement\s+of)\b(?P<where>[^;.:()]*)"
)
_SPARED = re.compile(
    r"(?:^|[,;.:])(?P<where>[^,;.:]*?)\b(?:(?:is|are|was|were)\s+)(?:relatively\s+)?"
    r"(?:spared|clear|uninvolved|not\s+involved|normal)\b"
)


@dataclass
class _Group:
    """What the words between two separators say, before it is completed from the neighbours."""

    side: Side | None = None
    both: bool = False
    level: str | None = None
    noun: str | None = None
    lingula: bool = False
    lung: bool = False
    segment: bool = False
    emphasised: bool = False
    parts_first: bool = False
    narrows: bool = False
    parts: frozenset[str] = frozenset()

    @property
    def says_something(self) -> bool:
        return bool(self.side or self.both or self.level or self.noun or self.parts or self.lingula or self.lung)

    @property
    def names_lobe(self) -> bool:
        return self.lingula or self.noun is not None

    @property
    def names_side(self) -> bool:
        return self.side is not None or self.both


def read_places(text: str) -> Places:
    """Read the places of a lower-case text.

    Parameters
    ----------
    text
        One finding, lower case.

    Returns
    -------
    Places
        ``within`` is empty when the text names no place.
    """
    spared: list[Place] = []
    for pattern in (_SPARING, _SPARED):
        for match in pattern.finditer(text):
            spared += [place for place in _places(match["where"])[0] if not place.is_whole or place.side]
        text = pattern.sub(" ", text)
    text = _SETTING_EMPHASIS.sub(" ", text)
    within, emphasised = _places(text)
    if not within and not re.search(
        rf"[,;].*\b(?:{_EMPHASIS})\b", text
    ):  # "the largest nodule, in the left upper lobe"
        within, emphasised = emphasised, []
    return Places(tuple(dict.fromkeys(within)), tuple(dict.fromkeys(emphasised)), tuple(dict.fromkeys(spared)))


def _places(text: str) -> tuple[list[Place], list[Place]]:
    groups = _complete(_groups(text))
    narrowing = next((i for i, group in enumerate(groups) if group.narrows), None)
    if narrowing is not None and any(not _place(group).is_whole for group in groups[narrowing:]):
        groups = [g for i, g in enumerate(groups) if i >= narrowing or not _place(g).is_whole]
    within = [_place(group) for group in groups if not group.emphasised]
    emphasised = [_place(group) for group in groups if group.emphasised]
    return within, emphasised


def _groups(text: str) -> list[_Group]:
    """Cut the text into groups of words that belong together."""
    groups = [_Group()]
    emphasised = narrows = False
    for match in _WORD.finditer(text):
        kind, word = str(match.lastgroup), match[0]
        if kind in ("separator", "stop", "narrow", "emphasis"):
            if kind == "narrow":
                narrows = True
            if kind == "emphasis":
                emphasised = True
            elif kind == "stop" or not groups[-1].says_something:
                emphasised = False
            _close(groups, emphasised=emphasised, narrows=narrows)
            continue
        if _starts_anew(groups[-1], kind):
            _close(groups, emphasised=emphasised, narrows=narrows)
        _add(groups[-1], kind, word)
    return [group for group in groups if group.says_something]


def _close(groups: list[_Group], *, emphasised: bool, narrows: bool) -> None:
    if groups[-1].says_something:
        groups.append(_Group())
    groups[-1].emphasised = emphasised
    groups[-1].narrows = narrows


def _starts_anew(group: _Group, kind: str) -> bool:
    """Return whether a word cannot belong to the group any more ("right upper lobe left lower lobe")."""
    if kind in ("side", "both", "abbreviated") and group.names_side:
        return not (kind == "both" and group.both)
    return kind in ("level", "abbreviated") and group.noun in ("lobe", "zone")


def _add(group: _Group, kind: str, word: str) -> None:
    _ADD[kind](group, kind, word)


def _add_abbreviated(group: _Group, _: str, word: str) -> None:
    group.side, group.level = _ABBREVIATED[word]
    group.noun = "lobe"


def _add_side(group: _Group, kind: str, word: str) -> None:
    if kind == "both":
        group.both = True
    else:
        group.side = "right" if word == "right" else "left"


def _add_level(group: _Group, _: str, word: str) -> None:
    if group.noun == "whole":  # "the apices of both upper lobes"
        group.parts |= {"apical" if group.level == "apex" else "basal"}
        group.noun = None
    group.level = "middle" if word == "mid" else word


def _add_noun(group: _Group, kind: str, _: str) -> None:
    noun = "zone" if kind == "portion" else kind
    if group.noun is None and (group.level or kind == "lobe"):
        group.noun = noun


def _add_end(group: _Group, kind: str, _: str) -> None:
    if group.level or group.lingula:
        group.parts |= {"apical" if kind == "apex" else "basal"}
    else:
        group.level, group.noun = kind, "whole"


def _add_flag(group: _Group, kind: str, _: str) -> None:
    setattr(group, kind, True)


def _add_part(group: _Group, _: str, word: str) -> None:
    group.parts_first = group.parts_first or not group.names_lobe
    group.parts |= _parts(word)


_ADD: dict[str, Callable[[_Group, str, str], None]] = {
    "abbreviated": _add_abbreviated,
    "side": _add_side,
    "both": _add_side,
    "level": _add_level,
    "lobe": _add_noun,
    "zone": _add_noun,
    "portion": _add_noun,
    "apex": _add_end,
    "base": _add_end,
    "lingula": _add_flag,
    "lung": _add_flag,
    "segment": _add_flag,
    "part": _add_part,
    "bound": _add_part,
}


def _parts(word: str) -> frozenset[str]:
    for bound, part in _BOUND.items():
        if word.startswith(bound) and word not in _PARTS.split("|"):
            rest = word.removeprefix(bound).removeprefix("-")
            return frozenset({part, "basal" if rest == "basilar" else rest})
    return frozenset({"basal" if word == "basilar" else word})


def _complete(groups: list[_Group]) -> list[_Group]:
    """Let groups borrow side, lobe and noun from their neighbours."""
    for group, after in reversed(list(pairwise(groups))):  # "upper and lower lobes of both lungs": from the right
        if group.level and group.noun is None and after.noun in ("lobe", "zone"):
            group.noun = after.noun
            if not group.names_side and not after.lingula:
                group.side, group.both = after.side, after.both
    for i, group in enumerate(groups):
        if group.parts and not group.names_lobe and (group.segment or not group.names_side):
            _borrow_lobe(group, _lender(groups, i))
    for before, group in pairwise(groups):  # "left lower lobe ..., posterior segment of the upper lobe"
        if not (group.names_side or group.lingula or group.lung or group.level == "middle"):
            group.side, group.both = before.side, before.both
    return groups


def _borrow_lobe(group: _Group, lender: _Group | None) -> None:
    if lender is None:
        return
    if lender.parts_first and "basal" in lender.parts and not group.segment and "superior" not in group.parts:
        group.parts |= {"basal"}  # "the medial and posterior basal segments"
    group.level, group.noun, group.lingula = lender.level, lender.noun, lender.lingula
    if not group.names_side:
        group.side, group.both = lender.side, lender.both


def _lender(groups: list[_Group], i: int) -> _Group | None:
    """Find whose lobe a group of bare directions means: the next group's, or one that was named before."""
    before = next((g for g in reversed(groups[:i]) if g.names_lobe), None)
    after = next((g for g in groups[i + 1 :] if g.names_lobe), None)
    if after is not None and after.parts_first and not (before is not None and before.parts and not before.parts_first):
        return after
    return before


def _place(group: _Group) -> Place:
    if group.lingula:
        return Place("left", "upper lobe", group.parts - {"apical"} | {"lingula"})
    level = group.level
    if level in ("apex", "base"):
        return Place(group.side, level, group.parts)
    if level is None:
        place = Place(group.side, None, group.parts)
        return _whole_level(place)
    noun = "zone" if group.noun == "zone" or (group.noun is None and group.lung) else "lobe"
    side: Side | None = "right" if (level, noun) == ("middle", "lobe") else group.side
    return Place(side, f"{level} {noun}", group.parts)


def _whole_level(place: Place) -> Place:
    """Read directions without a lobe as levels of the lung: apical as its apex, basal as its base."""
    if "basal" in place.parts:
        return replace(place, level="base", parts=place.parts - {"basal"})
    if "apical" in place.parts:
        return replace(place, level="apex", parts=place.parts - {"apical"})
    return place
