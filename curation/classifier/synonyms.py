"""Say a finding in the words that the classifier knows: spellings, abbreviations and other words, as data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

from curation.text.bounded import bounded
from harness.foreign import parse_toml

#: A word of ours may be part of another expression: "gall bladder removed" is read as "gallbladder removed" first.
_PASSES: Final = (("beginnings", ""), ("words", r"(?![A-Za-z])"), ("words", r"(?![A-Za-z])"))


@cache
def _table(name: str, end: str) -> tuple[re.Pattern[str], Sequence[str]]:
    """Return one expression for all of a table of ``synonyms.toml``, and what each of its groups is replaced by."""
    table = parse_toml(resources.files(__package__).joinpath("synonyms.toml").read_text(encoding="utf-8"))[name]
    groups = "|".join(f"({'|'.join(others)})" for others in table.values())
    return re.compile(rf"(?<![A-Za-z])(?:{groups}){end}", re.IGNORECASE), tuple(table)


@bounded
def in_our_words(text: str) -> str:
    """Return `text` with every expression of ``synonyms.toml`` replaced by the words that our phrases use."""
    for name, end in _PASSES:
        pattern, ours = _table(name, end)
        text = pattern.sub(lambda match, ours=ours: ours[match.lastindex - 1], text)  # type: ignore[misc]
    return text
