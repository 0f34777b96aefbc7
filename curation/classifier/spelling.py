"""Undo slips of the keyboard, which hide a word from the classifier."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from importlib import resources
from typing import Final

from curation.text.lexicon import concepts
from harness.foreign import parse_toml

_HYPHEN = re.compile(r"[\u2010-\u2015\u2212]")
_WORD = re.compile(r"[A-Za-z]+")
_ONE_SLIP: Final = 6  # letters from which on a word may differ in one letter from the known one
_TWO_SLIPS: Final = 9  # … and in two
_LONGEST_WORD: Final = 40  # letters beyond which no word of a report is known
_MOST_OF: Final = 0.7  # share of a word's letters that a concept must cover for the word to be known
_MOST: Final = 2  # more slips than this are not counted


def spelled(text: str) -> str:
    """Return `text` with misspelt words replaced by the known word that they are like.

    Accents, ligatures and invisible characters go, and every hyphen is the usual one.

    A word is replaced only where neither our own phrases nor the lexicon know it or another ending of it, and a known
    one with the same first letter is one slip away (a letter lost, doubled, wrong, or two exchanged; two slips in long
    words).
    """
    return _WORD.sub(lambda match: _known(match.group()), _plain(text))


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text)
    kept = "".join(letter for letter in letters if unicodedata.category(letter) not in {"Mn", "Cf"})
    return _HYPHEN.sub("-", kept)


@cache
def phrases() -> dict[str, list[str]]:
    """Return our own phrases of every code, as ``seeds.toml`` has them."""
    return parse_toml(resources.files(__package__).joinpath("seeds.toml").read_text(encoding="utf-8"))


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(
        word.lower()
        for texts in phrases().values()
        for text in texts
        for word in _WORD.findall(text)
        if len(word) >= _ONE_SLIP - 1
    )


@lru_cache(maxsize=16384)
def _known(word: str) -> str:
    lower = word.lower()
    if not _ONE_SLIP <= len(word) <= _LONGEST_WORD:
        return word
    near = [known for known in _vocabulary() if known[0] == lower[0]]
    if any(lower.startswith(known) or known.startswith(lower) for known in near):
        return word
    if _in_lexicon(lower):
        return word
    most = _MOST if len(word) >= _TWO_SLIPS else 1
    alike = (known for known in near if abs(len(known) - len(lower)) <= most)
    best = min(((slips(lower, known), known) for known in alike), default=(most + 1, ""))
    return best[1] if best[0] <= most else word


def _in_lexicon(word: str) -> bool:
    """Return whether a concept accounts for most of a word: ``hyperdens``, but not ``bronch`` of ``broncheictasis``."""
    found = (concept.pattern.match(word) for concept in concepts().values())
    return any(match is not None and len(match.group()) >= _MOST_OF * len(word) for match in found)


def slips(first: str, second: str) -> int:
    """Return how many letters must be added, dropped, replaced or exchanged with their neighbour to get `second`.

    Of words of more than 40 letters, or whose lengths differ by more than two, it only reports: more than two.
    """
    if abs(len(first) - len(second)) > _MOST:
        return _MOST + 1
    far = _MOST + 1
    if len(first) > _LONGEST_WORD:
        return 0 if first == second else far
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        # Only what is at most two places from the diagonal can be two slips.
        begin, end = max(1, i - _MOST), min(len(second), i + _MOST)
        earlier, before, row = before, row, [far] * (len(second) + 1)
        row[0] = i
        for j, b in enumerate(second[begin - 1 : end], start=begin):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, earlier[j - 2] + 1)
            row[j] = cost
    return min(far, row[-1])
