"""Cut a sentence into phrases that each state one thing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from curation.text.assertion import (
    is_bare_part,
    is_negated,
    is_normal,
    keeps,
    without_speculation,
)
from curation.text.bounded import bounded, require_parts
from curation.text.lexicon import mentions, names_finding, subject
from curation.text.questions import asserted
from curation.text.turned import become, side_by_side
from curation.text.unseen import is_former, is_only_thought_of
from curation.text.vocabulary import IN_A_PLACE, SEEN, THE_EARLIER
from curation.text.wording import capitalised, without_preface

_VERB = re.compile(r"\b(?:is|are|was|were|has|have)\b", re.IGNORECASE)
_EXCEPTION: Final = (
    r"(?:other than|except(?:ing)?(?: for)?|save for|apart from|aside from|besides|with the exception of)"
)
_CONTRAST: Final = r"(?:however|but|yet|nevertheless|nonetheless|although|though|on the other hand|in contrast|instead)"
_CLAUSE = re.compile(
    rf"\s*[,;]?\s+{_EXCEPTION}\s+|\s*,?\s+with\s+(?=(?:an?\s+)?(?:\w+\s+)?(?:residual|remaining|persist))|(?<=normal|atural)\s+with\s+(?=an?\s)|\s*,?\s+leaving\s+|\s*[,;.]?\s+{_CONTRAST}\s*,?\s+|\s*[,;.]\s*(?:and\s+)?only\s+|"
    r"\s*;\s*|\.\s+|,\s*(?:(?:and|while|whereas)\s+)?|\s+(?:and|while|whereas)\s+|"
    r"\s+(?=(?-i:[A-Z])[\w -]{2,40}:?\s*\[)",
    re.IGNORECASE,
)
_EXCEPT = re.compile(rf"\b{_EXCEPTION}\b", re.IGNORECASE)
_TURN = re.compile(rf"\b(?:{_CONTRAST}|only|with|leaving)\b", re.IGNORECASE)
#: "Apart from a nodule, no lesion was seen": what is excepted stands first.
_EXCEPTED_FIRST = re.compile(
    rf"^{_EXCEPTION}\s+(?!this\b|these\b|that\b)(.+?),\s*((?:there\s+\w+\s+)?(?:no|neither|not)\b.*|(?:the\s+)?[^,]*\b(?:normal|clear|unremarkable)\b[^,]*)$",
    re.IGNORECASE | re.DOTALL,
)
#: "No nodule other than the 4 mm one in the left lower lobe", "no bronchiectasis except in the middle lobe".
_EXCEPTED_PLACE = re.compile(
    rf"^(?:there\s+(?:is|are|was|were)\s+)?no\s+(?:(?:other|further|definite|significant|new)\s+)?((?:\w+\s){{0,4}}?\w+)\s+"
    rf"{_EXCEPTION}\s+((?:in|at|on)\s.+|(?:the|an?|two|three|four|several)\s.+)$",
    re.IGNORECASE | re.DOTALL,
)
_ONE_OF_THEM = re.compile(
    r"^(?:the\s+|an?\s+)?(?P<which>(?:(?!in\b|of\b|at\b)\S+\s+){0,3}?)ones?\b(?!\s+(?:lobe|lung|of)\b)", re.IGNORECASE
)
#: Negation that opens a list: until the list has its verb, all of it is denied.
_OPENS_LIST = re.compile(
    r"\b(?:no|neither|without|free (?:of|from)|negative for)\b(?!\s+(?:longer|significant change))", re.IGNORECASE
)
_ITS = re.compile(r"^(?:its|their)\b", re.IGNORECASE)
_DEPENDENT = re.compile(
    r"^(?:which|that|(?:the )?(?:\w+ ){1,3}of (?:which|whom)\b|possibl[ey]|probabl[ey]|likely|presumabl[ey]|"
    r"the (?:largest|bigg|long|small|short|other)|largest|some|one|most|more|"
    r"especially|whose|it|they|these|those|with|as|when|if|(?:around|within|in|on|at|to|of|from) which|"
    r"(?:is|are|was|were|has|have|can|cannot|could|may|did|does)\b|measuring|reaching|extending|showing|accompan|"
    r"causing|includ|contain|corresponds?\b|obliterat|observed|seen|approximately|up to|"
    r"(?:adjacent|close|next|secondary|due) to\b|"
    r"who\b|not \w+\W*$|(?:\w+ )?air[- ]?bronchogram|\d)",
    re.IGNORECASE,
)
#: What only says of whom or when: "in the case, which was learned to have myeloma", "when evaluated together with …".
_SETTING = re.compile(
    r"^(?:in\s+(?:the|a|this)\s+(?:case|patient)\b|when\b|if\b|"
    r"(?:in|at|around)\s+(?:the\s+)?(?:neighbou?rhood|vicinity|periphery|surroundings?)\s+of\b|"
    r"(?:apart|aside)\s+from\b|(?:in|at|on)\s+(?:the\s+)?(?:site|place|location|position)\s+of\b|"
    r"(?:instead|in\s+place)\s+of\b|(?:secondary|due|owing)\s+to\b|because\s+of\b|in\s+addition\s+to\b|(?:(?:just|immediately)\s+)?(?:medial|lateral|anterior|posterior|superior|"
    r"inferior|adjacent|distal|proximal|caudal|cranial)\s+to\b)"
    r"[^,;]*,?\s*(?:(?:which|who)\b[^,;]*)?$",
    re.IGNORECASE,
)
_LEADING = re.compile(r"^(?:in|within|at|on|along|around)\b", re.IGNORECASE)
_THERE_IS_NO = re.compile(r"^there\s+(?:is|was|are|were)\s+no\b", re.IGNORECASE)
#: The verb that closes a denied list.
_DENIED = re.compile(rf"\b(?:is|are|was|were)\s+not\s+(?:\w+\s+)?{SEEN}\b", re.IGNORECASE)
#: What says of another side or place that nothing is there: "small effusion on the right, none on the left".
_DENIES = re.compile(
    r"^otherwise\b|"
    r"^(?:but\s+)?(?:no|without)\s+(?!(?:\w+\s+)?(?:chang|differ|progress|increas|decreas|growth|interval|contrast|regress))",
    re.IGNORECASE,
)
#: What the subject of a denial has: "the lung shows no nodule, and has a linear density".
_HAS = re.compile(r"^(?:has|have|shows?|contains?)\s+(?!no\b|not\b|neither\b|been\b)", re.IGNORECASE)
_NONE_THERE = re.compile(r"^(?:(?:on\s+)?(?:the\s+)?(?:right|left)\s+)?(?:none|nil)\b", re.IGNORECASE)
_AMOUNT = re.compile(
    r"^(?:(?:an?\s+)?few|several|multiple|numerous|minimal|mild|tiny|trace|small|millimetric|sub-?centimeter)\b",
    re.IGNORECASE,
)
_SIZE_FIRST = re.compile(r"^[\d.,x\u00d7 -]+(?:mm|cm)[- ]")
_PART = re.compile(
    r"\s*,\s*(?:and\s+|as well as\s+)?|\s+(?:and|as well as|accompanied by|together with)\s+", re.IGNORECASE
)
_LISTED = re.compile(r"\s*[,;]\s*|\s+and\s+", re.IGNORECASE)
_PLACE = re.compile(IN_A_PLACE, re.IGNORECASE)
_SEEN_GROUP = re.compile(
    rf"\s*\b(?:(?:is|are|was|were|has been|have been)\s+(?:also\s+|still\s+)?{SEEN}|(?:is|are) there)\b"
    rf"(?!\s+(?:in|on)\s+{THE_EARLIER})",
    re.IGNORECASE,
)
_THERE = re.compile(
    (
        r"^(?:there\s+(?:is|are|was|were|(?:has|have)\s+been)\s+(?:also\s+)?(?:evidence\s+of\s+)?|evidence\s+of\s+|(?:the\s+)?(?:patient|case)\s+(?:has|had)\s+|it\s+(?:is|was)\s+(?:(?:observed|seen|"
        r"understood)\s+that|accompanied\s+by)\s+|(?:has|have|shows?|contains?)\s+)"
    ),
    re.IGNORECASE,
)
_PLACE_FIRST = re.compile(
    r"^((?:in|at|on|within|along)\s+[^,;]+?),?\s+there\s+(?:is|are|was|were)\s+(.+)$", re.IGNORECASE | re.DOTALL
)
_PLACE_COMMA = re.compile(r"^((?:in|at|on|within|along)\s+[^,;]+),\s+(.+)$", re.IGNORECASE | re.DOTALL)
_ARTICLE = re.compile(r"^(?:an?|the)\s+(?=\w)", re.IGNORECASE)
#: Where a statement turns to one of its parts: "…, the largest of which", "in which", "whose".
_RELATIVE = re.compile(r"\b(?:which|whose|whom|that)\b", re.IGNORECASE)
#: A verb of seeing that a relative clause cannot lose: "in which air bronchograms are observed".
_WITHIN_RELATIVE = re.compile(
    r"\b(?:which|whose|where|who)\b(?!\s+(?:is|are|was|were)\s+(?:also\s+|still\s+)?\w+ed\b[^,;]*\S)"
    r"(?:(?!\b(?:is|are|was|were|has|have|may|might|could|can|show|cause)\b)[^,;])*$",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[a-z)]{2})\.\s+(?=[A-Z][a-z]|\d)")
#: The end of a list of findings that says what was not among them.
_NOTHING = re.compile(
    r"^(?:an?\s+|any\s+)?(?:appearance|finding|sign|evidence)s?\s+(?:in\s+favou?r\s+of|of|for|compatible\s+with|consistent\s+with)\s[^,;]*"
    r"\bnot\s+(?:observed|seen|detected|noted|found|identified)",
    re.IGNORECASE,
)
#: A list of adjectives that has not come to its noun: "there are peripheral | and central areas".
_UNFINISHED = re.compile(r"^there\s+(?:is|are|was|were)\s+(?:an?\s+)?(?:\w+ly\s+)?\w+$", re.IGNORECASE)
#: What a supposition that has not come to its verb goes on with: "which may be compatible with plaques | and a stent".
_SUPPOSING = re.compile(
    r"\b(?:may|might|could)\s+(?:also\s+)?(?:be|represent|belong|correspond)\b(?!.*\b(?:is|are|was|were)\b)",
    re.IGNORECASE,
)
_VERB_LAST = re.compile(r"\s(?:is|are|was|were)$", re.IGNORECASE)
#: A place that goes on with a list of places.
_PLACE_GOES_ON = re.compile(
    r"^(?:in\s+|at\s+|of\s+)?(?:the\s+)?(?:(?:right|left|both|bilateral|anterior|posterior|medial|lateral|superior|inferior|apical|"
    r"basal|upper|middle|lower)(?:\s+and)?\s+)+(?:lungs?|lobes?|segments?|hil\w+|regions?|areas?|zones?|parts?|levels?)\b|^(?:the\s+)?lingul",
    re.IGNORECASE,
)
#: What may be left at the end of a phrase whose verb or supposition has gone.
_DANGLING = re.compile(
    r"(?:[\s,;:]\s?\b(?:and|but|which|that|although|because|if any|as far as)(?: (?:it|this|these|they|there|the))?|"
    r",? (?:is|are|was|were)| \((?:if any)?[^()]{0,12}|"
    r"[,;:](?: (?:as )?(?:it|this|these|they|there|as|the))?|; (?:the )?(?:appearances?|findings?))$",
    re.IGNORECASE,
)
_LONGEST_DANGLING: Final = 30  # characters
_HEAD_WORDS: Final = 6  # words within which a part must come to its finding to be one of its own


@bounded
def phrases_of(sentence: str) -> list[str]:
    """Return the distinct phrases of a sentence, without what only reports that something was seen.

    What is only asked is left out where something is stated beside it (:func:`asserted`); a phrase that is a question
    ends in its mark. Sizes are never lost: what would lose one is kept whole.
    """
    return list(_phrases(sentence))


@lru_cache(maxsize=16384)
def _phrases(sentence: str) -> tuple[str, ...]:
    whole = side_by_side(without_preface(asserted(sentence).strip()))
    statements = map(become, _SENTENCE_END.split(whole))
    clauses = [become(clause) for statement in statements for clause in _clauses(statement)]
    parts = (part for clause in clauses for part in ([clause] if is_negated(clause) else _distinct(clause)))
    return tuple(phrase for part in parts if (phrase := _noun_phrase(part)))


def _clauses(sentence: str) -> list[str]:
    """Cut at semicolons and exceptions, and at conjunctions that join two statements, each with a verb of its own."""
    if first := _EXCEPTED_FIRST.match(sentence):
        return [*_clauses(first[1]), *_clauses(first[2])]
    if excepted := _EXCEPTED_PLACE.match(sentence):
        named, count = _ONE_OF_THEM.subn(lambda one: f"{one['which']}{excepted[1]}", excepted[2])
    if excepted and (count or not names_finding(excepted[2])):
        return [named if count else f"{excepted[1]} {excepted[2]}"]
    clauses, start = [], 0
    marks = list(_CLAUSE.finditer(sentence))
    require_parts(marks)
    for match in marks:
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
    if not left.strip() or _UNFINISHED.match(left) or (_SETTING.match(left) and names_finding(left)):
        return False
    if _EXCEPT.search(mark):
        return (is_negated(left) or is_normal(left)) and names_finding(right)
    return _turns(left, mark, right) or _states_anew(left, mark, right)


def _turns(left: str, mark: str, right: str) -> bool:
    """Return whether a text turns from what is there to what is not, or the reverse, or to a finding of its own."""
    if not mark.strip():
        return True  # a heading with its box: "Nodules: [ ] Emphysema: [x]"
    if "," in mark and (
        (_NONE_THERE.match(right) and _has_finding(left)) or (_DENIES.match(right) and _is_told(left, right))
    ):
        return True
    has = _HAS.match(right) is not None and names_finding(right) and is_negated(f"{left} and {right}")
    if is_negated(left) and (_TURN.search(mark) or has):
        return True
    if _ends_denial(left, right) or (is_normal(left) and _goes_beyond(mark, right)):
        return True
    return _has_finding(left) and ((";" in mark and _begins_anew(right)) or bool(_NOTHING.match(right)))


def _is_told(left: str, right: str) -> bool:
    """Return whether a text says what is there under a heading, or before "otherwise": no part of a denied list."""
    told = ":" in left or _AMOUNT.match(left) or right.lower().startswith("otherwise")
    return bool(told) and names_finding(left) and not is_negated(left)


def _goes_beyond(mark: str, right: str) -> bool:
    """Return whether what follows a statement that something is normal names a finding of its own.

    "The trachea is patent, few secretions in the left main bronchus"; "the liver is normal with a cyst".
    """
    if "with" in mark:
        return names_finding(right)
    apart = ";" in mark or ("," in mark and _AMOUNT.match(right) is not None)
    return apart and _has_finding(right) and not is_normal(right)


def _states_anew(left: str, mark: str, right: str) -> bool:
    """Return whether each of two texts is a statement, with a verb or a denial of its own."""
    if _ITS.match(right):  # "the trachea is deviated, its lumen is open"
        return bool(_VERB.search(left)) and (is_normal(right) or is_negated(right))
    listed = mark.strip()[:1] not in {";", "."}
    if listed and _is_listing(left) and not _is_statement(_LISTED.split(right, maxsplit=1)[0]):
        return False  # "no density, mass, or nodule, and the pleura is …": the list goes on
    apart = not _DEPENDENT.match(right) and not (listed and _goes_on(left, mark, right))
    return apart and _is_statement(left, begun=listed) and _is_statement(right)


def _is_listing(text: str) -> bool:
    """Return whether a text denies a list that has not come to its verb."""
    opened = _OPENS_LIST.search(text)
    return opened is not None and not _VERB.search(text, opened.end())


def _goes_on(left: str, mark: str, right: str) -> bool:
    """Return whether a text begins with further places of what stands before it, and its verb is of something else.

    "… in the middle lobe | and the left lower lobe, in which …"; "… in the aorta | and the coronary arteries, and …".
    """
    if is_negated(left) or not (_PLACE.search(left) or _PLACE_GOES_ON.match(right)) or _begins(right, names_finding):
        return False
    if (turn := _RELATIVE.search(right)) and not _VERB.search(right, 0, turn.start()):
        return True
    first, comma, rest = right.partition(",")
    if not comma:
        first, _, rest = right.partition(" and ")
        if not _VERB.match(rest):
            return False
    if not rest or _VERB.search(first) or names_finding(first):
        return False
    return "," not in mark or bool(_PLACE_GOES_ON.match(right))


def _begins_anew(text: str) -> bool:
    own = _SIZE_FIRST.sub("", _ARTICLE.sub("", text))
    return bool(_OPENS_LIST.match(own)) or _begins(own, names_finding)


def _ends_denial(left: str, right: str) -> bool:
    """Return whether a denial is closed by its verb or place, and what follows says that a finding of its own is seen.

    "There was no infiltrate in both lungs, and a few nodules in the right lung"; but "no infiltrate, nodule or mass".
    """
    closed = _DENIED.search(left) or (_THERE_IS_NO.match(left) and _PLACE.search(left))
    if not closed and not _AMOUNT.match(right):
        return False
    if not is_negated(left):
        return False
    own = re.split(r",|;|\.\s", right, maxsplit=1)[0]
    if place := _PLACE_COMMA.match(right):
        own = own if names_finding(place[1]) else place[2]
    if is_negated(right) or " or " in own or not _begins(own, _has_finding):
        return False
    return bool(place or _AMOUNT.match(right) or _PLACE.search(f" {own}"))


def _is_statement(text: str, *, begun: bool = False) -> bool:
    """Return whether a text has a verb, or denies something; `begun`: and whether a list that it denies has ended."""
    if _VERB.search(text):
        return True
    return is_negated(text) and not (begun and _OPENS_LIST.search(text))


def _distinct(clause: str) -> list[str]:
    """Cut at conjunctions that join two findings; where only the last one says where, all are there."""
    parts, start = [], 0
    marks = list(_PART.finditer(clause))
    require_parts(marks)
    for match in marks:
        left, right = clause[start : match.start()], clause[match.end() :]
        if _OPENS_LIST.search(left) and not (_AMOUNT.match(right) and _begins(right, _has_finding)):
            break  # "emphysema, no mass, nodule": what follows a denial in its clause is denied with it
        if (_LEADING.match(left) and _THERE.match(right)) or _SETTING.match(left) or _SUPPOSING.search(left):
            continue  # "within the fat pad, there are nodules": a place, and what is in it
        denied = bool(_OPENS_LIST.match(right)) and not right.lower().startswith("without")
        if _has_finding(left) and (denied or _begins(right, _has_finding)) and "(" not in left.replace("()", ""):
            parts.append(left)
            start = match.end()
    parts.append(clause[start:])
    return _placed(parts)


def _placed(parts: list[str]) -> list[str]:
    """Give each part without a place that of the next one that has one; an organ of its own is its place."""
    placed: list[str] = []
    place = ""
    for part in reversed(parts):
        if tail := _PLACE.search(f" {part}"):
            where = _SEEN_GROUP.sub(_unless_needed, f" {part}"[tail.start() :])
            place = "" if is_negated(part) or re.search(r"\d", where) else where
            placed.append(part)
        else:
            elsewhere = _organs(part) or (_organs(place) and _region(part) not in _organs(place))
            placed.append(part if elsewhere or not place else f"{_VERB_LAST.sub('', part)}{place}")
    return placed[::-1]


def _organs(text: str) -> frozenset[str]:
    """Return the regions of the organs outside the lung that a text names."""
    found = (mention.concept for mention in mentions(text) if not mention.concept.finding)
    return frozenset(concept.region for concept in found if concept.region not in {None, "L"})


def _region(text: str) -> str | None:
    main = subject(mentions(text))
    return main.concept.region if main else None


def _has_finding(text: str) -> bool:
    main = subject(mentions(text))
    return main is not None and not main.concept.generic and not is_bare_part(text)


def _begins(text: str, has: Callable[[str], bool]) -> bool:
    """Return whether the words with which a text begins name a finding."""
    if _DEPENDENT.match(text):
        return False
    head = " ".join(re.split(r"\s*,\s*|\s+(?:in|at|of|on|and|with)\s+", text, maxsplit=1)[0].split()[:_HEAD_WORDS])
    return has(head)


def _noun_phrase(part: str) -> str:
    text = part.strip(" .;,")
    if is_former(text) or is_only_thought_of(text):
        return capitalised(text)
    place_first = _PLACE_FIRST.match(text)
    if place_first:
        text = f"{place_first[2].rstrip(' .')} {_lower(place_first[1])}"
    else:
        comma = _PLACE_COMMA.match(text)
        if comma and not _has_finding(comma[1]) and _has_finding(comma[2]) and _SEEN_GROUP.search(comma[2]):
            text = f"{comma[2].rstrip(' .')} {_lower(comma[1])}"
    text = _THERE.sub("", text)
    if not is_negated(text):
        text = _SEEN_GROUP.sub(_unless_needed, text)
    text = " ".join(without_speculation(_ARTICLE.sub("", text.strip(" .;,"))).split())
    while dangling := _DANGLING.search(text, max(0, len(text) - _LONGEST_DANGLING)):
        text = text[: dangling.start()].rstrip()
    return capitalised(_telling(text))


def _unless_needed(seen: re.Match[str]) -> str:
    """Return a verb of seeing where a relative clause would be left without one, else nothing."""
    return seen.group() if _WITHIN_RELATIVE.search(seen.string, 0, seen.start()) else ""


def _telling(text: str) -> str:
    """Return the part before or after a semicolon that alone says all of a phrase, else the phrase."""
    before, _, after = text.rpartition("; ")
    return next((part for part in (before, after) if before and keeps(part, text)), text)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
