"""What a text says of an earlier examination: what has grown, shrunk or come, which sizes were then and are now."""

from __future__ import annotations

import re

from curation.text.assertion import is_negated, mentions_prior
from curation.text.attributes import MEANT, SAYS
from curation.text.bounded import bounded
from curation.text.measurements import sizes

#: Growing and shrinking, as of a comparison with an earlier examination: not "increased density".
_GROWS = re.compile(
    r"\bincreas\w* (?:in )?(?:the |its |their )?(?:size|number|amount|extent|dimension|diameter|volume)|"
    r"\b(?:has|have) (?:been )?(?:increased|grown|progressed|enlarged)|"
    r"\b(?:progress|worsen|enlarging|enlarged (?:since|from|compared)|grow)|\blarger than(?! (?:the )?normal| \d)",
    re.IGNORECASE,
)
_SHRINKS = re.compile(
    r"\b(?:decreas|reduc|diminish)\w* (?:in )?(?:the |its |their )?"
    r"(?:size|number|amount|extent|dimension|diameter|volume)|"
    r"\b(?:has|have) (?:been )?(?:decreased|regressed|shrunk|resolved|resorbed|disappeared|diminished)|"
    r"\b(?:regress|improv|smaller than(?! (?:the )?normal| \d))",
    re.IGNORECASE,
)
_COURSE = re.compile(r"\b(?:has|have) (?:been )?(?:in|de)creased|\b(?:progress|regress|worsen)", re.IGNORECASE)
_THICKER = re.compile(r"\bthickness\w*\b[^,;.]{0,60}?\b(?:has|have) increased", re.IGNORECASE)  #: is thickened
_BESIDE = re.compile(
    r"\b(?:compared|(?:also|still|already)\b.*\b(?:previous|prior|old)|previously|again)\b", re.IGNORECASE
)
_COMPARES = re.compile(
    r"increas|decreas|reduc|diminish|resorb|resol|disappear|progress|regress|worsen|improv|grow|chang|differ|larger|smaller|enlarg|expan|more|less|loss|"
    r"dilat|ectas|wide|aneurysm|megal",
    re.IGNORECASE,
)
#: What is gone, or nearly: one wording names it, another says that it is not there.
FADES = re.compile(r"\b(?:resorb|resol|disappear)", re.IGNORECASE)
_THEN = re.compile(r"\b(?:previously|formerly|before|prior|previous|earlier|old|had been|last|from)\b", re.IGNORECASE)
_NOW = re.compile(r"\b(?:now|today|current(?:ly)?|at present|to)\b", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\s*$", re.IGNORECASE)
_WAS = re.compile(r"\b(?:was|were)\b", re.IGNORECASE)
_MARK = re.compile(r"[,;()]|\.\s|\band\b")


def invented(source: str, target: str) -> list[str]:
    """Return the changes that `target` tells, and `source` does not, or the reverse of them, in words."""
    problems = []
    course = _course(source)
    for says, other, way in ((_GROWS, _SHRINKS, "more"), (_SHRINKS, _GROWS, "less")):
        if says is _SHRINKS and FADES.search(target) and is_negated(source) and mentions_prior(source):
            continue  # "has resolved": was there, and is not seen any more
        if (
            says.search(target)
            and not says.search(source)
            and course != way
            and (other.search(source) or SAYS["stable"].search(source) or not _COMPARES.search(source))
        ):
            problems.append("the change since an earlier examination is not in its source")
    (then, now), (was, is_) = times(source), times(target)
    turned = sorted((is_ & then - now) | (was & now - then)) if then and now and was and is_ else []
    return problems + [f"{size} mm is of another examination in its source" for size in turned]


@bounded
def times(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the sizes of an earlier examination and those of this one, in mm; both empty where no word tells.

    "Measures 18 mm now and was 34 mm before", "(previously 3 mm)", "from 45 to 31 mm".
    """
    found = sizes(text)
    then, now, was = set[str](), set[str](), set[str]()
    for n, size in enumerate(found):
        begin, end = found[n - 1].end if n else 0, found[n + 1].start if n + 1 < len(found) else len(text)
        before, after = _MARK.split(text[begin : size.start])[-1], _MARK.split(text[size.end : end])[0]
        values = [f"{value:f}" for value in size.millimetres]
        lengths = set(values)
        if _FROM.search(before) and len(lengths) == 2 and " to " in size.text:
            then.add(values[0])
            now.add(values[1])
        elif _THEN.search(before) or _THEN.search(after):
            then |= lengths
        elif _NOW.search(before) or _NOW.search(after):
            now |= lengths
        elif _WAS.search(before):
            was |= lengths
        elif then:
            now |= lengths
    if now and not then:
        then = was
    elif then and not now:
        now = was | {f"{value:f}" for size in found for value in size.millimetres} - then
    return frozenset(then), frozenset(now) if then else frozenset()


def _course(text: str) -> str:
    """Return whether the sizes of a text have become ``more`` or ``less``; empty where they do not say."""
    then, now = times(text)
    if not then or not now:
        return ""
    first, last = max(map(float, then)), max(map(float, now))
    return "more" if last > first else "less" if last < first else ""


def compares(text: str) -> bool:
    """Return whether a text has any word of a change, or of none."""
    return bool(_COMPARES.search(text))


@bounded
def compares_less(source: str, target: str) -> bool:
    """Return whether `source` says that something is new, unchanged, grown or shrunk, and `target` nothing like it."""
    if compares(target) or any(MEANT[name].search(target) for name in ("new", "stable")):
        return False
    source = _THICKER.sub(" ", source)
    return any(says.search(source) for says in (SAYS["new"], SAYS["stable"], _COURSE))


def compares_time(text: str) -> bool:
    """Return whether a text says what has changed, or has not, since an earlier examination."""
    return any(says.search(text) for says in (SAYS["new"], SAYS["stable"], _COURSE, _BESIDE))
