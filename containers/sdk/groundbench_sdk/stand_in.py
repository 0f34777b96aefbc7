"""A deterministic stand-in for a tokenizer whose files are behind a log-in: for runs with random weights only.

Words become numbers by a hash. With random weights any numbers do: such a run shows that the text reaches the model.
"""

from __future__ import annotations

import re
import zlib

_WORD = re.compile(r"\w+|[^\w\s]")


def word_ids(text: str, vocabulary: int, reserved: int = 4) -> list[int]:
    """Return one number a word or sign, from `reserved` to below `vocabulary`; upper and lower case are the same.

    Parameters
    ----------
    text
        Any text.
    vocabulary
        Rows of the model's table of tokens.
    reserved
        Rows at its beginning that are kept for begin, end and padding.
    """
    words = _WORD.findall(text.lower())
    return [reserved + zlib.crc32(word.encode("utf-8", "replace")) % (vocabulary - reserved) for word in words]
