"""Statements that say two things in one: what a finding has become, and a finding side by side with its absence."""

from __future__ import annotations

import re

from curation.text.assertion import digits
from curation.text.bounded import bounded
from curation.text.lexicon import mentions, subject

#: "The infarct in the lingula has become a scar": what was, and what is seen now.
_BECAME = re.compile(
    r"\s(?:(?:has|have|had)\s)?(?:(?:disappeared|regressed|resolved)\sand\s)?"
    r"(?:(?:turned|transformed|evolved|regressed|converted|changed)\s(?:in)?to|become|became|"
    r"(?:(?:been|is|are|was|were)\s){1,2}replaced\s(?:by|with))\s(?:an?\s|the\s)?",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\s(?:in|at|of)\s+(?:the\s+)?(?:both|bilateral|right|left|upper|middle|lower|lung|ling)[^,;]*$", re.IGNORECASE
)
#: "Effusion: right minimal, left absent".
_HEADED = re.compile(r"^(?P<what>[A-Za-z][\w /-]{2,40}?)\s*:\s*(?P<parts>[^:]+)$")
_SIDE = re.compile(
    r"^(?:on\s+(?:the\s+)?)?(?P<side>right|left)(?:\s+side)?\s*:?\s*(?:(?P<none>absent|none|nil|nothing|no|not\s+\w+|\(-\))|(?P<much>.+))$",
    re.IGNORECASE,
)


@bounded
def become(clause: str) -> str:
    """Return a clause with what a finding has become in its place; where numbers would go, as it is."""
    verb = _BECAME.search(clause)
    if verb is None or "," in clause or ";" in clause:
        return clause
    was, now = clause[: verb.start()], clause[verb.end() :]
    place = _PLACE.search(was)
    where = place.group() if place else ""
    before, after = subject(mentions(was)), subject(mentions(now))
    if (
        after is None
        or after.concept.name == "lesion"
        or (before is None and not where)
        or digits(was) != digits(where)
    ):
        return clause
    return now if _PLACE.search(now) else now + where


@bounded
def side_by_side(sentence: str) -> str:
    """Return "effusion: right minimal, left absent" as two statements; any other sentence as it is."""
    headed = _HEADED.match(sentence.strip(" ."))
    if headed is None or subject(mentions(headed["what"])) is None:
        return sentence
    parts = [_SIDE.match(part.strip()) for part in re.split(r"[,;]", headed["parts"])]
    sides = [part for part in parts if part]
    if len(sides) < len(parts) or len({bool(part["none"]) for part in sides}) < 2:
        return sentence
    what = headed["what"].lower()
    said = (f"no {what} on the {p['side']}" if p["none"] else f"{p['much']} {what} on the {p['side']}" for p in sides)
    return "; ".join(said)
