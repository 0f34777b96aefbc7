"""How long a text may be that the rules read as one statement.

Expressions that look for two things far apart take the square of a text's length, and some its cube. A sentence of a
report has some dozens of characters, the longest of CT-RATE 650: what is much longer is none, and is refused at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from functools import wraps
from typing import Any, Final, TypeVar

from harness.errors import DataError

#: Characters of a sentence, or of a phrase.
LONGEST: Final = 2_000

#: Conjunctions and commas of a sentence.
MOST_PARTS: Final = 100

#: Digits of a number: what is longer is none that anybody measured.
MOST_DIGITS: Final = 20

_BLANKS = re.compile(r"\s{9,}")
_DIGITS = re.compile(rf"\d{{{MOST_DIGITS + 1},}}")
_FIX: Final = "end its sentences with full stops, or leave that report out"
_Function = TypeVar("_Function", bound=Callable[..., Any])


class TextTooLong(DataError):  # noqa: N818 - it is the text that is too long
    """A text is too long to be one statement."""


def bounded(function: _Function) -> _Function:
    """Make a function of texts refuse, by TextTooLong, each that is longer than :data:`LONGEST`.

    Of many blanks in a row it gets a few: they mean one.
    """

    @wraps(function)
    def within(*texts: Any, **options: Any) -> Any:
        return function(*(_short(text) if isinstance(text, str) else text for text in texts), **options)

    return within  # type: ignore[return-value]


def _short(text: str) -> str:
    require_short(text)
    require_numbers(text)
    return _BLANKS.sub("        ", text)


def require_short(text: str) -> None:
    """Raise TextTooLong where a text is too long to be a sentence."""
    if len(text) > LONGEST:
        raise TextTooLong(
            f"a sentence has {len(text):,} characters; at most {LONGEST:,} are read as one: {text[:40]!a}…", fix=_FIX
        )


def require_numbers(text: str) -> None:
    """Raise TextTooLong where a text holds a number with more digits than anything measured has."""
    if match := _DIGITS.search(text):
        raise TextTooLong(
            f"a number has {len(match.group()):,} digits; at most {MOST_DIGITS} are read: {match.group()[:40]}…",
            fix=_FIX,
        )


def require_parts(parts: Sized) -> None:
    """Raise TextTooLong where a sentence has more parts than are read."""
    if len(parts) > MOST_PARTS:
        raise TextTooLong(
            f"a sentence has {len(parts):,} commas and conjunctions; at most {MOST_PARTS} are read", fix=_FIX
        )
