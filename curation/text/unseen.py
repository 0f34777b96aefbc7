"""What a text names and these images do not show: what was there, is known, looked for, considered or recommended."""

from __future__ import annotations

import re
from typing import Final

from curation.text.bounded import bounded
from curation.text.lexicon import mentions, subject
from curation.text.places import places
from curation.text.vocabulary import SEEN, THE_EARLIER

#: What the patient is known for or has undergone, as a sentence's own statement: it is not about the images.
_HISTORY = re.compile(
    r"^(?:it\s+(?:was|is|has\s+been)\s+(?:learn(?:ed|t)|known|stated|reported)\s+that|"
    r"(?:the\s+)?(?:patient|case)\s+(?:underwent|has\s+undergone|(?:has|had)\s+(?:an?\s+)?(?:history|surgery|operation)|"
    r"(?:is|was)\s+(?:operated|diagnosed|known|(?:being\s+)?followed))\b|(?:known|past|previous|medical|clinical)?\s*(?:history|indication|information|question)\s*(?:of|:)|"
    r"(?:reason|indication)\s+for\s+(?:the\s+)?(?:exam\w*|study)|comparison\s*:|"
    r"anamnesis|known\s+(?:case|diagnosis)|diagnosed\s+with|k/c/o\b|"
    r"(?:(?:the\s+)?patient\s+is\s+)?status\s+post\s+(?:\w+\s+){0,3}(?:treatment|therapy)\b|"
    r"(?:the\s+)?patient\s+(?:was|has\s+been)\s+(?:treated|operated)|"
    r"(?:the\s+)?(?:\w+\s+){1,4}(?:in|on|at|under)\s+follow-?up\W*$)",
    re.IGNORECASE,
)
#: Who the patient is, or what was there before: what it names is known, and not seen.
_WHOSE = re.compile(
    r"\b(?:in|of)\s+(?:the|a|this)\s+(?:case|patient)\s+(?:who|that|which|whose|with\s+(?:an?\s+)?(?:known|history|diagnosis)|operated|followed|"
    r"diagnosed|known|treated)\b[^,;]*|"
    r"\bhistory\s+of\b[^,;]*|,\s*(?:previously|formerly|earlier)\s+(?:with|showing)\b[^,;]*|"
    r"\b(?:rather\s+than|instead\s+of)\b[^,;]*",
    re.IGNORECASE,
)
#: How the images were made.
_TECHNIQUE = re.compile(
    r"\btechnique\s*:|\bopacification\s+of\s+(?:the\s+)?(?:\w+\s+)?(?:arter|vessel|vascul)|\b(?:sections?|slices?|images?)\s+(?:was|were|have\s+been)\s+(?:taken|obtained|acquired|created)\b",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:recommend\w*|advis\w+|(?:it\s+)?(?:is|would\s+be)\s+appropriate\s+to|"
    r"should\s+be\s+(?:evaluated|considered|correlated|followed)|"
    r"correlat(?:ion|ed)\s+with|evaluat(?:e|ed|ion)\s+together\s+with|follow-?up\s+(?:is|was|"
    r"of\s+the\s+patient|examination)|control\s+(?:is|ct|us)|"
    r"clinical\s+and\s+lab\w*|please)\b",
    re.IGNORECASE,
)
#: What is recommended, from the word of advice on.
_ADVISED = re.compile(
    r"\b(?:follow-?up\s+(?:\w+\s+){0,4})?(?:recommend\w*|advis(?:ed|able)|(?:is|are|would\s+be)\s+appropriate\b|"
    r"should\s+be\s+(?:evaluated|considered|correlated|followed|investigated|examined)|to\s+(?:exclude|rule\s+out)\b).*$|"
    r"^(?:repeat(?:ed)?|further)\s+(?:\w+\s+){0,2}?(?:ct|imaging|assessment|evaluation|examination|scan)\s+(?:in|to|of|by|with|for)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
#: What is asked for, before the word that asks: "exclusion of infection and follow-up are recommended".
_ASKED_FOR = re.compile(
    r"^(?:in\s+terms\s+of\s+[^,;]*,\s*)?(?:\w+\s+){0,3}(?:correlation|follow-?up|control|evaluation|examination|exclusion|verification|"
    r"confirmation|characteri[sz]ation|differentiation|differential\s+diagnosis|consultation|biopsy|sampling|bronchoscopy)\b",
    re.IGNORECASE,
)
#: What is said for a case that may not be given.
_IF = re.compile(
    r"\b(?:if|in\s+(?:the\s+)?(?:case|presence|event)\s+of\s+(?:\w+\s+)?(?:suspicion|suspected|concern))\b[^,;]*|"
    r"^(?:were|should)\s+(?:an?|any|the)\b[^,;]*",
    re.IGNORECASE,
)
#: A disease that is considered, or a finding that is looked for, not seen.
_CONSIDERED = re.compile(
    r"(?:^|(?<=[,;])|(?<=\band))(?:(?!\band\b)[^,;])*\b(?:"
    r"(?:is|are|was|were)\s+(?:\w+ly\s+|first\s+|also\s+)?considered(?:\s+(?:first(?:ly)?|foremost|\w+ly|with\s+priority|in\s+the\s+first\s+place))?\W*$|"
    r"(?:should|must|can|could|may)\s+be\s+(?:kept|borne)\s+in\s+mind\b.*$|comes?\s+(?:first\s+)?to\s+mind\b.*$|comes?\s+first\b.*$|in\s+the\s+differential\W*$|"
    r"(?:is|are|was|were)\s+in\s+the\s+foreground\b.*$)|"
    r"^(?:the\s+|these\s+|this\s+)?(?:described\s+|mentioned\s+)?(?:findings?|appearances?|changes|outlooks?|pictures?|images?|patterns?)\s+"
    r"(?:\w+ly\s+)?(?:suggest(?:s|ed)?|supports?|favou?rs?|indicates?|fits?|points?\s+to|raises?)\b.*$|"
    r"^[^,;]*\blimit(?:s|ed)?\s+(?:the\s+)?(?:evaluation|assessment|sensitivity|detection|visuali[sz]ation)\b.*$|"
    r"^(?:\w+\s+){0,3}(?:evaluation|assessment|detection|sensitivity|exclusion)\s+(?:for|of)\b.*\b(?:limited|reduced|impaired|hampered)\b.*$|"
    r"^(?:in\s+(?:the\s+|its\s+)?(?:differential(?:\s+diagnos[ei]s)?|etiology)|differential\s+diagnos[ei]s|d/?d)\b.*$|"
    r"\b(?:(?:can|could|may|might|should)\s+be\s+considered|(?:is|are|was|were)(?:\s+also)?(?:\s+(?:included|considered|among))?)\s+"
    r"(?:\w+\s+)?in\s+(?:the\s+|its\s+)?(?:differential(?:\s+diagnos[ei]s)?(?:\s+of\b[^,;]*)?|etiology)|"
    r"\bdifferential(?:\s+(?:diagnos[ei]s|considerations?))?\s+(?:also\s+)?(?:includes?|is|are|consists?)\b.*$|"
    r"^.*\b(?:can|could|may|might)\s+(?:also\s+)?(?:cause|give|produce|have|create|lead\s+to)\s+(?:an?\s+|the\s+)?(?:similar|same|this|such)\b|"
    r"^(?:\w+\s+){1,3}(?:is|are)\s+favou?red\W*$|"
    r"^(?:[\w-]+\s+){1,4}involvement\s+(?:can|could|may|might)\s+(?:also\s+)?(?:be|appear|present)\b.*$|"
    r"\bcannot\s+be\s+\w+\s+(?:because|since|as)\s+it\s+(?:does\s+not|did\s+not|is\s+not)\b.*\b(?:area|image|section|field)\w*\b.*$|"
    r"^(?:similar|such|these|this)\b[^,;]*\b(?:can|could|may|might)\s+(?:also\s+)?be\s+(?:\w+\s+)?(?:observed|seen|encountered|found|detected)\s+(?:in|with)\s+"
    r"(?:\w+[\s-]+){0,4}?(?:pneumonia|infection|disease|syndrome|\w+itis|\w+osis)s?\b.*$",
    re.IGNORECASE,
)
#: A disease that this examination cannot exclude: its limits, not what is seen.
_UNDECIDED = re.compile(
    r"\b(?:cannot|could\s+not|can\s+not)\s+be\s+(?:\w+\s+)?(?:excluded|ruled\s+out|(?:differentiated|distinguished)(?!\s+(?:\w+\s+)?from)(?=.*\bexamination))\b",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:due\s+to|because\s+of|given|in\s+view\s+of)\b", re.IGNORECASE)
_EARLIER: Final = rf"(?:in|on|at)\s+{THE_EARLIER}\s+(?:\w+\s+)?(?:examination|review|study|ct|scan|image)s?"
#: What was there in an earlier examination, with no word of whether it still is, or was something else.
_FORMERLY = re.compile(
    r"^when\s+(?:the\s+)?(?:previous|prior|old|earlier)\s+[^,;]*\b(?:is|are|was|were)\s+(?:examined|evaluated|reviewed)\b(?!.*\b(?:both|together)\b)|"
    rf"^(?:{_EARLIER}\b(?:\s+of\s+the\s+(?:patient|case))?,?[^,;()]*\b(?:was|were|had|(?:is|are)\s+(?:observed|seen|detected|noted|present))\b|"
    rf"[^,;()]*\b(?:was|were)\s+(?:observed|seen|detected|noted|present)\b[^,;()]*\b{_EARLIER}(?:\s+only)?\W*$)|"
    r"^(?:[\w ]{1,40}:\s*)?(?:the\s+)?(?:\d{4}|prior|previous|outside|earlier)\s+(?:\w+\s+)?"
    r"(?:study|ct|report|exam\w*|scan)\s+(?:dated\s+[\d./-]+\s+)?(?:had\s+)?(?:show|mention|describ|report|demonstrat|reveal)\w*|"
    r"^[^,;]*\b(?:(?:radiograph|film|x-?ray)\b[^,;]*\b(?:correspond|due\s+to)|turn(?:s|ed)?\s+out\s+to\s+be\s+(?:an?\s+)?(?:\w+\s+)?"
    r"(?:vessel|artifact|fold|shadow)|"
    r"(?<!may )(?<!might )(?<!could )(?:represent|correspond)s?\s+(?:to\s+)?(?:an?\s+|the\s+)?(?:\w+\s+)?"
    r"(?:vessel|artifact|fold|shadow|nipple|osteophyte)s?\b)|"
    r"^[^,;]*\b(?:was|were)\b[^,;]*\b(?:before|earlier|formerly|in\s+the\s+past)\W*$|"
    r"^[^,;]*\b(?:is|are|was|were)\s+(?:\w+\s+){0,3}?(?:an?\s+)?artifacts?\b|^what\s+(?:was|were|had\s+been)\b",
    re.IGNORECASE,
)
_STILL = re.compile(
    r"\b(?:also|still|again|too|now\b|today\b|stable|unchanged|same|similar|decreas|increas|regress|progress|current|differ|chang)",
    re.IGNORECASE,
)
#: What is told in a place of its own, and is only named here.
_ELSEWHERE = re.compile(
    r"\b(?:described|reported|discussed|mentioned|detailed|listed)\s+(?:separately|elsewhere)\b"
    r"(?:\s+(?:in|at|of|on)\b.*)?\W*$",
    re.IGNORECASE | re.DOTALL,
)
_LIMITED = re.compile(
    r"\b(?:suboptimal\w*|(?:cannot|could\s+not|can\s+not|not)\s+(?:be\s+)?(?:optimally\s+|"
    r"clearly\s+|fully\s+)?(?:be\s+)?(?:evaluated|assessed|examined)|"
    r"without\s+(?:iv\s+)?contrast|un-?enhanced|non-?contrast|contrast\s+(?:material|agent|"
    r"medium)\s+(?:is|was|were)?\s*not|limited)\b",
    re.IGNORECASE,
)


def own_statement(text: str) -> str:
    """Return a text without who the patient is, and without what was there before."""
    return _WHOSE.sub("", text)


def without_advice(text: str) -> str:
    """Return a text without what it recommends."""
    return _ADVISED.sub("", text)


def is_history(text: str) -> bool:
    """Return whether a text tells what the patient is known for or has undergone, instead of describing the image."""
    return bool(_HISTORY.match(text))


#: What a supposed finding proves to be.
_PROVES = re.compile(
    rf"\b(?:turn(?:s|ed)?\s+out\s+to\s+be|(?:is|are|was|were)\s+(?:in\s+fact|actually)(?!\s+{SEEN}))\b", re.IGNORECASE
)


@bounded
def is_former(text: str) -> bool:
    """Return whether a text says what an earlier examination showed, or was taken for, and nothing of this one."""
    if proves := _PROVES.search(text):
        return subject(mentions(text[proves.end() :])) is None
    return bool(_FORMERLY.match(text)) and not _STILL.search(text)


def is_only_thought_of(text: str) -> bool:
    """Return whether a text names its finding as a reason for advice, or as a disease in question, and not as seen."""
    undecided = _UNDECIDED.search(text)
    if undecided and (_LIMITED.search(text) or not places(text)):
        reason = _REASON.search(text, undecided.end())
        return subject(mentions(_before(text, undecided) + (text[reason.end() :] if reason else ""))) is None
    if _IF.search(text) and subject(mentions(_ADVISED.sub("", _IF.sub("", text)))) is None:
        return True
    if considered := _CONSIDERED.search(text):
        return subject(mentions(_before(text, considered) + text[considered.end() :])) is None
    advice = _ADVISED.search(text)
    if advice is None:
        return False
    return bool(_ASKED_FOR.match(text)) or subject(mentions(text[: advice.start()])) is None


def _before(text: str, match: re.Match[str]) -> str:
    """Return the statements of a text before the one in which a match begins."""
    return text[: max(text.rfind(mark, 0, match.start()) for mark in ",;") + 1]


def is_undecided(text: str) -> bool:
    """Return whether a text says of its only finding that it cannot be excluded: rule 3 of Figure S4 leaves it out."""
    return bool(_UNDECIDED.search(text)) and len([m for m in mentions(text) if m.concept.finding]) == 1


def is_told_elsewhere(text: str) -> bool:
    """Return whether a text only names what the report describes in another place."""
    return bool(_ELSEWHERE.search(text))


def is_advice(text: str) -> bool:
    """Return whether a text recommends something, or asks for correlation, instead of describing the image."""
    return bool(_ADVICE.search(text))


def is_technique(text: str) -> bool:
    """Return whether a text says how the images were made."""
    return bool(_TECHNIQUE.search(text))


def is_limitation(text: str) -> bool:
    """Return whether a text speaks of the limits of the examination."""
    return bool(_LIMITED.search(text))
