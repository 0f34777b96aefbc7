"""Choices between words that good wordings do not exchange, read from ``contrasts.toml``; signs that are denied."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from curation.text.bounded import bounded
from curation.text.lexicon import mentions
from harness.foreign import parse_toml

#: What is denied of a finding: "without air bronchograms", "no cavity".
_WITHOUT = re.compile(r"\b(?:without|no|neither|nor|free of|not containing|lacking)\s+([^,;.]{1,60})", re.IGNORECASE)
_ABSENT = re.compile(
    r"(?:^|(?<=[,;.])\s*)(?P<what>[^,;.]{1,60}?)\s+(?:is|are|was|were)\s+(?:also\s+)?(?:absent|not\s+(?:seen|observed|detected|present|found))\b",
    re.IGNORECASE,
)
_NOT_WITHOUT = re.compile(
    r"(?:significant|obvious|interval)?\s*(?:chang|differ|contrast|iv\b|increas|decreas|longer|more than|"
    r"evidence of (?:chang|progress))",
    re.IGNORECASE,
)
_END = re.compile(r"\b(?:and|but|apart|except|other|besides|with|in|on|at|is|are|was|were|which|that)\b", re.IGNORECASE)


@cache
def choices() -> Mapping[str, Mapping[str, re.Pattern[str]]]:
    """Return every choice by name, each a table of alternatives."""
    table = parse_toml(resources.files(__package__).joinpath("contrasts.toml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            name: MappingProxyType({word: re.compile(words, re.IGNORECASE) for word, words in alternatives.items()})
            for name, alternatives in table.items()
        }
    )


@lru_cache(maxsize=65536)
def _chosen(text: str, choice: str) -> frozenset[str]:
    return frozenset(word for word, pattern in choices()[choice].items() if pattern.search(text))


@bounded
def exchanged(source: str, target: str) -> list[str]:
    """Return where a text has taken one word of a choice in place of another, in words."""
    problems = []
    for choice in choices():
        there = _chosen(target, choice)
        if not there:
            continue
        here = _chosen(source, choice)
        lost, new = here - there, there - here
        if lost and new:
            words = [" and ".join(sorted(part)).replace("_", " ") for part in (lost, new)]
            problems.append(f"it says {words[1]!r}, and its source {words[0]!r}")
    return problems


@lru_cache(maxsize=16384)
def lacking(text: str) -> frozenset[str]:
    """Return what a text says that something goes without, as concepts."""
    parts = (match[1] for match in _WITHOUT.finditer(text) if not _NOT_WITHOUT.match(match[1]))
    absent = {m.concept.name for match in _ABSENT.finditer(text) for m in mentions(match["what"])}
    return frozenset(m.concept.name for part in parts for m in mentions(_END.split(part, maxsplit=1)[0])) | absent


@bounded
def without_denied(text: str) -> str:
    """Return a text without what it says that something goes without."""
    return _WITHOUT.sub(lambda match: match.group() if _NOT_WITHOUT.match(match[1]) else " ", text)


_SIGNS: Final = frozenset({"air_bronchogram", "halo", "cavity", "calcified", "calcification"})


def turned_signs(source: str, target: str) -> list[str]:
    """Return the signs that one of two texts says are there, and the other that they are not, in words."""
    problems = []
    for first, second, what in ((source, target, "is not there"), (target, source, "is there")):
        kept = {
            mention.concept.name for mention in mentions(_ABSENT.sub(" ", _WITHOUT.sub(" ", second)))
        }  # "…; no calcification of the lung"
        turned = (lacking(second) - lacking(first) - kept) & _SIGNS & {m.concept.name for m in mentions(first)}
        problems += [f"it says that {name.replace('_', ' ')} {what}" for name in sorted(turned)]
    return problems
