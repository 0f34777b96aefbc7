"""Shorten a text to the token limit of an encoder at a word boundary, and report what was dropped."""

from __future__ import annotations

from typing import Callable


def one_line(text: str) -> str:
    """Return `text` on one line, with single spaces and none at its ends."""
    return " ".join(text.split())


def fit(text: str, count: Callable[[str], int], limit: int) -> tuple[str, str]:
    """Shorten `text` until it fits an encoder.

    Whole words are dropped from the end, since a report states a finding and its location before it qualifies them. A
    single word that is too long is cut at a letter.

    Parameters
    ----------
    text
        The finding's text.
    count
        Returns the number of tokens of a text, template and special tokens included.
    limit
        Tokens that the encoder accepts.

    Returns
    -------
    kept : str
        The longest beginning of `text` that fits.
    dropped : str
        The rest; empty when everything fits.

    Raises
    ------
    ValueError
        When not even an empty text fits.
    """
    if count(text) <= limit:
        return text, ""
    if count("") > limit:
        raise ValueError(f"an encoder of {limit} tokens lacks room for a text: its template alone has {count('')}")
    pieces = text.split(" ")
    joint = " "
    if count(pieces[0]) > limit:
        pieces, joint = list(pieces[0]), ""
    # One more piece never means fewer tokens, so bisection finds the cut of a long text in a few counts.
    keep, too_many = 0, len(pieces)
    while too_many - keep > 1:
        middle = (keep + too_many) // 2
        keep, too_many = (middle, too_many) if count(joint.join(pieces[:middle])) <= limit else (keep, middle)
    kept = joint.join(pieces[:keep])
    return kept, text[len(kept) :].lstrip()


def warning(finding: str, dropped: str, limit: int, encoder: str) -> str:
    """Return the warning about a text that was cut, for ``case.warn``."""
    return f"finding {finding}: the text is longer than the {limit} tokens of {encoder}; not read: {dropped!r}"
