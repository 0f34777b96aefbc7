"""The concepts of a report's words, read from ``lexicon.toml``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from curation.text.bounded import require_numbers
from harness.foreign import parse_toml

#: Hyphens and blanks that look like the usual ones, each for one character, so that places in a text stay.
_LOOKALIKES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-") | {"\u00a0": " ", "\u202f": " "})
_BEGIN = re.compile(r"(?<![A-Za-z])[A-Za-z0-9]")
_TWO = re.compile(r"[A-Za-z]{2}(?![?*{])")
_BEHIND = re.compile(r"^(?:\(\?<![^()]*\))+")
_GROUP = re.compile(r"\(\?:(?P<choice>(?:[^()]|\(\?:[^()]*\))*)\)(?P<optional>\??)")


@dataclass(frozen=True)
class Concept:
    """One thing that the words of a report can name."""

    name: str
    rank: int  #: place in the file
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
def _entries() -> dict[str, dict[str, Any]]:
    return parse_toml(resources.files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8"))


@cache
def concepts() -> Mapping[str, Concept]:
    """Return every concept by name, in the order of the file."""
    return MappingProxyType(
        {
            name: Concept(
                name,
                rank,
                re.compile("|".join(entry["words"]), re.IGNORECASE),
                entry.get("region"),
                entry.get("finding", False),
                entry.get("generic", False),
            )
            for rank, (name, entry) in enumerate(_entries().items())
        }
    )


@cache
def _by_beginning() -> Mapping[str, Sequence[Concept]]:
    """Return which concepts can begin with one or two letters, so that few of them are tried at a word."""
    found: dict[str, dict[str, Concept]] = {}
    for name, entry in _entries().items():
        for beginning in frozenset().union(*map(_beginnings, entry["words"])):
            found.setdefault(beginning, {})[name] = concepts()[name]
    return MappingProxyType({beginning: tuple(named.values()) for beginning, named in found.items()})


def _beginnings(word: str) -> frozenset[str]:
    """Return the one or two letters with which the matches of an expression of the lexicon can begin, or a few more."""
    word = _BEHIND.sub("", word.removeprefix(r"\b"))
    group = _GROUP.match(word)
    parts = (group["choice"] if group else word).split("|")
    if group and group["optional"]:
        parts.append(word[group.end() :])
    parts += [part[2:] for part in parts if part[1:2] == "?"]  # "o?edema"
    digits = "0123456789" if any(part.startswith(r"\d") for part in parts) else ""
    return frozenset(part[: 2 if _TWO.match(part) else 1].lower() for part in parts) | frozenset(digits)


@lru_cache(maxsize=65536)  # the steps ask about the same phrase several times
def mentions(text: str) -> tuple[Mention, ...]:
    """Return the first mention of every concept in `text`, by position, then in the order of the file."""
    require_numbers(text)
    found = []
    text = text.translate(_LOOKALIKES)
    index = _by_beginning()
    known: set[str] = set()
    for begin in _BEGIN.finditer(text):
        place = begin.start()
        for beginning in (text[place : place + 2].lower(), begin.group().lower()):
            for concept in index.get(beginning, ()):
                if concept.name not in known and (match := concept.pattern.match(text, place)):
                    known.add(concept.name)
                    found.append(Mention(concept, *match.span()))
    return tuple(sorted(found, key=lambda mention: (mention.start, mention.concept.rank)))


def subject(found: Sequence[Mention]) -> Mention | None:
    """Return what a phrase with these mentions is about: its first finding that is not generic, else its first one."""
    findings = [mention for mention in found if mention.concept.finding]
    telling = [mention for mention in findings if not mention.concept.generic]
    return next(iter(telling or findings), None)


def names_finding(text: str) -> bool:
    """Return whether a text names anything that can be abnormal, by however general a word."""
    return subject(mentions(text)) is not None
