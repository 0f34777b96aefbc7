"""What a sentence only asks, and what it states beside that."""

from __future__ import annotations

import re

from curation.text.assertion import digits
from curation.text.bounded import bounded
from curation.text.lexicon import names_finding
from curation.text.vocabulary import IN_A_PLACE

_PLACE = re.compile(IN_A_PLACE, re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^()]*\?[^()]*\)")
#: A question, and the mark that it follows; without a mark, a single word that names a disease.
_ASKED = re.compile(
    r"(?:\s*[,;:(]\s*|\s+[-\u2013]\s+|\.\s+)(?P<asked>[^,;:(?]*)\?+\)?|"
    r"\s+(?P<word>\w*(?:oma|itis|osis|asis|emia|ases|omas|pneumonia|infection|sequela\w*|tuberculosis|covid|tumou?r))\s*\?+",
    re.IGNORECASE,
)


@bounded
def asserted(sentence: str) -> str:
    """Return what a sentence states: without the parts that it asks.

    "Nodules, metastasis in both lungs?" states nodules in both lungs: a place that stands in the question alone is
    that of the finding. A sentence that only asks is returned whole.
    """
    if "?" not in sentence:
        return sentence
    sentence = _ASIDE.sub(_answered_aside, sentence)
    while match := _ASKED.search(sentence):
        rest = sentence[: match.start()], sentence[match.end() :]
        if not names_finding(rest[0]) or digits(match["asked"] or ""):
            return sentence
        asked = f" {match['asked'] or ''}"
        place = _PLACE.search(asked)
        where = asked[place.start() :] if place and not _PLACE.search(rest[0]) else ""
        sentence = f"{rest[0].rstrip(' ,;:-')}{where}{rest[1] if rest[1].strip() else '.'}"
    return sentence


def _answered_aside(match: re.Match[str]) -> str:
    """Return what a parenthesis states beside its question."""
    if not digits(match.group()):
        return ""
    parts = [part for part in re.split(r"\s*[,;]\s*", match.group().strip(" ()")) if not part.endswith("?")]
    return f" ({', '.join(parts)})" if digits(" ".join(parts)) == digits(match.group()) else match.group()
