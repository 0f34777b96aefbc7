"""Signs that a report names a person: what must not leave the machine unseen.

A cheap scan of fixed forms. It finds labelled names, numbers and dates of birth, telephone numbers and e-mail
addresses; it does not find a name that stands in running text, and is no de-identification.
"""

from __future__ import annotations

import re
from typing import Final

_SIGNS: Final = {
    "a name": re.compile(
        r"(?i:\b(?:patient(?:'s)?\s+name|name\s+of\s+(?:the\s+)?patient|name\s*(?:/|and)\s*surname|surname)\s*[:=]\s*\w)|"
        r"\b(?:Mr|Mrs|Ms)\.?\s+[A-Z]\w+",
    ),
    "a date of birth": re.compile(
        r"\b(?:dob|d\.o\.b\.|date\s+of\s+birth|birth\s*date|born(?:\s+on)?)\b\W{0,3}\d{1,4}\W\d{1,2}\W\d{2,4}",
        re.IGNORECASE,
    ),
    "a number of the patient": re.compile(
        r"\b(?:mrn|medical\s+record|patient\s+(?:id|no|number)|file\s+(?:no|number)|protocol\s+(?:no|number)|"
        r"accession\s+(?:no|number)|national\s+id|ssn|passport)\b\.?\W{0,3}(?:no\W{0,2})?[A-Z]{0,3}-?\d{4,}",
        re.IGNORECASE,
    ),
    "a telephone number": re.compile(
        r"\b(?:phone|tel(?:ephone)?|mobile|gsm)\b\W{0,3}\+?[\d ()/-]{7,}|"
        r"\+\d{1,3}[ -]?\(?\d{2,4}\)?[ -]?\d{3}[ -]?\d{2,4}",
        re.IGNORECASE,
    ),
    "an e-mail address": re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}\.[A-Za-z]{2,}\b"),
    "an identity number": re.compile(r"(?<![\d.])\d{11}(?![\d.])|\b\d{3}-\d{2}-\d{4}\b"),
}


def identifiers(text: str) -> list[str]:
    """Return what a text seems to hold of a person's identity, in words; empty where nothing of that form is found."""
    return [what for what, pattern in _SIGNS.items() if pattern.search(text)]
