"""What CT-CLIP's text encoder is given of a finding."""

from __future__ import annotations

from collections.abc import Callable

from groundbench_sdk.texts import fit, one_line

#: Tokens that the encoder takes, begin and end included.
TOKENS = 512

#: Numbers of the vector that it makes.
WIDTH = 512

#: What CT-CLIP's own reader of reports takes out.
_LEFT_OUT = str.maketrans("", "", "\"'()")


def finding_text(text: str, count: Callable[[str], int]) -> tuple[str, str]:
    """Make of a finding what is read: one line without quotes and parentheses, as CT-CLIP was trained.

    Parameters
    ----------
    text
        The finding as it stands.
    count
        Tokens that the tokenizer makes of a text, begin and end included.

    Returns
    -------
    kept, dropped : str
        What fits, and what does not (empty when all fits).
    """
    return fit(one_line(text.translate(_LEFT_OUT)), count, TOKENS)
