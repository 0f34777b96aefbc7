"""The concepts of a report's words, read from ``lexicon.toml``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType

#: Hyphens and blanks that look like the usual ones, each for one character, so that places in a text stay.
_LOOKALIKES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u00a0": " ", "\u202f": " "})


@dataclass(frozen=True)
class Concept:
    """One thing that the words of a report can name."""

    name: str
    pattern: re.Pattern[str]
    region: str | None  #: letter of the region where it belongs; None: anywhere
    finding: bool  #: whether a phrase may be about it
    generic: bool  #: whether a more specific word of the same phrase defines its subject


@dataclass(frozen=True)
class Mention:
    """Where a concept stands in a text."""

    concept: Concept
    start: int
    end: int


@cache
def concepts() -> Mapping[str, Concept]:
    """Return every concept by name, in the order of the file."""
    text = resources.files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            name: Concept(
                name,
                re.compile(rf"(?<![A-Za-z])(?:{'|'.join(entry['words'])})", re.IGNORECASE),
                entry.get("region"),
                entry.get("finding", False),
                entry.get("generic", False),
            )
            for name, entry in tomllib.loads(text).items()
        }
    )


@lru_cache(maxsize=65536)  # the steps ask about the same phrase several times
def mentions(text: str) -> tuple[Mention, ...]:
    """Return the first mention of every concept in `text`, by position, then in the order of the file."""
    found = []
    text = text.translate(_LOOKALIKES)
    for concept in concepts().values():
        match = concept.pattern.search(text)
        if match:
            found.append(Mention(concept, *match.span()))
    return tuple(sorted(found, key=lambda mention: mention.start))


def subject(found: Sequence[Mention]) -> Mention | None:
    """Return what a phrase with these mentions is about: its first finding that is not generic, else its first one."""
    findings = [mention for mention in found if mention.concept.finding]
    telling = [mention for mention in findings if not mention.concept.generic]
    return next(iter(telling or findings), None)
