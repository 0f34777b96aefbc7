"""Cut a section of a report into sentences without losing a character of it."""

from __future__ import annotations

import re
from typing import Final

#: A full stop after these does not end a sentence when a small letter follows.
_ABBREVIATIONS: Final = frozenset(
    [
        "lab",
        "clin",
        "approx",
        "ca",
        "cf",
        "dr",
        "no",
        "nr",
        "vs",
        "eg",
        "ie",
        "e.g",
        "i.e",
        "etc",
        "fig",
        "st",
        "mr",
        "mrs",
        "prof",
        "resp",
        "bil",
        "min",
        "max",
        "diam",
        "seg",
        "sup",
        "inf",
        "ant",
        "post",
        "lat",
        "med",
        "mm",
        "cm",
    ]
)
_END = re.compile(
    r"[.!?](?=[\s)\]\"']|$)|[.!?](?=[A-Z][a-z])|\n+|[·•]|(?<=[a-z)]) {2,}(?=[A-Z])|(?<=[,;]) (?=\(\d\d?\) )"
)
_LAST_WORD = re.compile(r"([\w.]+)[.!?]$")
_LONGEST_WORD: Final = 60  # characters
_PARENTHESIS: Final = 300  # characters within which an open parenthesis is believed to be closed


def split_sentences(text: str) -> list[str]:
    """Return the sentences of `text`, stripped, in order; the empty list for a blank text.

    A sentence ends at a full stop, question or exclamation mark, at a line break, at a bullet, before a number of a
    list ("…, (2) …"), or where two spaces stand before a capital. It does not end inside parentheses, after an
    abbreviation, or at the full stop of an ordinal (``7. and 8. ribs``). Bullets go; every other character is kept
    (:func:`is_lossless`).
    """
    sentences: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if match.start() < start or not _ends(text, start, match):
            continue
        end = match.end() if match.group()[0] in ".!?" else match.start()
        _add(sentences, text[start:end])
        start = match.end()
    _add(sentences, text[start:])
    return sentences


def is_lossless(text: str, sentences: list[str]) -> bool:
    """Return whether the sentences hold every character of `text` but blanks and bullets, in order."""
    return _letters(text) == _letters("".join(sentences))


def _letters(text: str) -> str:
    return re.sub(r"[\s·•]+", "", text)


def _add(sentences: list[str], part: str) -> None:
    part = " ".join(part.split())
    if not re.search(r"\w", part) and part and sentences:
        sentences[-1] += part  # marks alone belong to the sentence before them
    elif part:
        sentences.append(part)


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    mark = match.group()
    before = text[start : match.start()]
    if mark[0] not in ".!?":
        return bool(before.strip())
    if before.count("(") > before.count(")") and ")" in text[match.end() : match.end() + _PARENTHESIS]:
        return False
    after = text[match.end() : match.end() + 40].lstrip()
    small = bool(after) and after[0].islower()
    if mark != ".":
        return mark != "?" or not small  # "metastasis? in both lungs" goes on
    last = _LAST_WORD.search(before[-_LONGEST_WORD:] + mark)
    word = last.group(1).rstrip(".").lower() if last else ""
    if small and word in _ABBREVIATIONS:
        return False
    if word.isdigit() and len(word) <= 2 and (small or after[:1].isdigit()):
        return False  # an ordinal: "7. and 8. ribs"
    return not (text[match.end() : match.end() + 1].isupper() and len(word) < 3)  # "T12.Vertebra", "E.coli"
