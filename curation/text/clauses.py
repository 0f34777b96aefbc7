"""Cut a sentence into phrases that each state one thing."""

from __future__ import annotations

import re
from typing import Final

from curation.text.assertion import digits, is_negated, without_speculation
from curation.text.lexicon import mentions, subject
from curation.text.wording import capitalised, without_preface

_VERB = re.compile(r"\b(?:is|are|was|were|has|have)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"\s*;\s*|\.\s+|,\s*(?:and\s+|but\s+)?|\s+(?:and|but|while|whereas)\s+|"
    r"\s*,?\s+(?:other than|except(?: for)?|apart from|aside from|with the exception of)\s+",
    re.IGNORECASE,
)
_EXCEPT = re.compile(r"\b(?:other than|exception|except|apart from|aside from)", re.IGNORECASE)
_DEPENDENT = re.compile(
    r"^(?:which|that|the (?:largest|bigg|long|small|short|other)|largest|some|one|most|more|"
    r"especially|whose|it|they|these|those|with|as|when|if|"
    r"(?:is|are|was|were)\b|measuring|reaching|extending|showing|accompan|observed|seen|approximately|up to|\d)",
    re.IGNORECASE,
)
_SIZE_FIRST = re.compile(r"^[\d.,x\u00d7 -]+(?:mm|cm)[- ]")
_PART = re.compile(
    r"\s*,\s*(?:and\s+|as well as\s+)?|\s+(?:and|as well as|accompanied by|together with)\s+", re.IGNORECASE
)
_PLACE = re.compile(
    (r"\s(?:in|at|on|along|throughout|within|adjacent to|near)\s(?!size|diameter|number|favor|addition|thickness)"),
    re.IGNORECASE,
)
_SEEN: Final = (
    r"(?:observed|seen|detected|present|noted|identified|found|available|monitored|watched|"
    r"visible|noticed|visualized|demonstrated|followed|evident|encountered)"
)
_SEEN_GROUP = re.compile(
    rf"\s*\b(?:(?:is|are|was|were|has been|have been)\s+(?:also\s+|still\s+)?{_SEEN}|(?:is|are) there)\b", re.IGNORECASE
)
_THERE = re.compile(
    (
        r"^(?:there\s+(?:is|are|was|were)\s+(?:also\s+)?|it\s+(?:is|was)\s+(?:(?:observed|seen|"
        r"understood)\s+that|accompanied\s+by)\s+)"
    ),
    re.IGNORECASE,
)
_PLACE_FIRST = re.compile(
    r"^((?:in|at|on|within|along)\s+[^,;]+?),?\s+there\s+(?:is|are|was|were)\s+(.+)$", re.IGNORECASE | re.DOTALL
)
_PLACE_COMMA = re.compile(r"^((?:in|at|on|within|along)\s+[^,;]+),\s+(.+)$", re.IGNORECASE | re.DOTALL)
_ARTICLE = re.compile(r"^(?:an?|the)\s+(?=\w)", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^()]*\?[^()]*\)")
_HEAD_WORDS: Final = 6  # words within which a part must come to its finding to be one of its own


def phrases_of(sentence: str) -> list[str]:
    """Return the distinct phrases of a sentence, without what only reports that something was seen.

    Phrases in question marks are left out (Figure S4, rule 4). Sizes are never lost: what would lose one is kept whole.
    """
    result = []
    for clause in _clauses(without_preface(_unasked(sentence).strip())):
        for part in [clause] if is_negated(clause) else _distinct(clause):
            phrase = _noun_phrase(part)
            if phrase and not phrase.rstrip(")").endswith("?"):
                result.append(phrase)
    return result


def _unasked(sentence: str) -> str:
    """Take the questions in parentheses out, unless a number goes with them."""
    return _ASIDE.sub(lambda match: match.group() if digits(match.group()) else "", sentence)


def _clauses(sentence: str) -> list[str]:
    """Cut at semicolons and exceptions, and at conjunctions that join two statements, each with a verb of its own."""
    clauses, start = [], 0
    for match in _CLAUSE.finditer(sentence):
        if sentence.count("(", start, match.start()) > sentence.count(")", start, match.start()):
            continue
        left, right = sentence[start : match.start()], sentence[match.end() :]
        if _parts(left, match.group(), right):
            clauses.append(left)
            start = match.end()
    clauses.append(sentence[start:])
    return [clause.strip(" .;,") for clause in clauses if clause.strip(" .;,")]


def _parts(left: str, mark: str, right: str) -> bool:
    """Return whether a mark stands between two statements, or two findings of which one may be denied."""
    if _EXCEPT.search(mark):
        return is_negated(left) and subject(mentions(right)) is not None
    if "but" in mark.lower() and is_negated(left) and _begins_with_finding(right):
        return True
    if ";" in mark and _has_finding(left) and _begins_with_finding(_SIZE_FIRST.sub("", right)):
        return True
    if _DEPENDENT.match(right):
        return False
    return _is_statement(left) and _is_statement(right)


def _is_statement(text: str) -> bool:
    return bool(_VERB.search(text)) or is_negated(text)


def _distinct(clause: str) -> list[str]:
    """Cut at conjunctions that join two findings; where only the last one says where, all are there."""
    parts, start = [], 0
    for match in _PART.finditer(clause):
        left, right = clause[start : match.start()], clause[match.end() :]
        if _has_finding(left) and _begins_with_finding(right) and "(" not in left.replace("()", ""):
            parts.append(left)
            start = match.end()
    parts.append(clause[start:])
    tail = _PLACE.search(parts[-1])
    if len(parts) > 1 and tail:
        place = _SEEN_GROUP.sub("", parts[-1][tail.start() :])
        if not re.search(r"\d", place):
            parts[:-1] = [part if _PLACE.search(f" {part}") else f"{part}{place}" for part in parts[:-1]]
    return parts


def _has_finding(text: str) -> bool:
    main = subject(mentions(text))
    return main is not None and not main.concept.generic


def _begins_with_finding(text: str) -> bool:
    if _DEPENDENT.match(text):
        return False
    head = " ".join(re.split(r"\s*,\s*|\s+(?:in|at|of|on|and|with)\s+", text, maxsplit=1)[0].split()[:_HEAD_WORDS])
    return _has_finding(head)


def _noun_phrase(part: str) -> str:
    text = part.strip(" .;,")
    place_first = _PLACE_FIRST.match(text)
    if place_first:
        text = f"{place_first[2].rstrip(' .')} {_lower(place_first[1])}"
    else:
        comma = _PLACE_COMMA.match(text)
        if comma and not _has_finding(comma[1]) and _has_finding(comma[2]) and _SEEN_GROUP.search(comma[2]):
            text = f"{comma[2].rstrip(' .')} {_lower(comma[1])}"
    text = _THERE.sub("", text)
    if not is_negated(text):
        text = _SEEN_GROUP.sub("", text)
    text = without_speculation(_ARTICLE.sub("", text.strip(" .;,")))
    return capitalised(" ".join(text.split()))


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
