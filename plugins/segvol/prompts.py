"""What SegVol is asked: the finding in its template, cut to what CLIP reads."""

from __future__ import annotations

from collections.abc import Callable

from groundbench_sdk.texts import fit, one_line

#: Tokens that CLIP's text model takes, begin and end included; one more is an error in upstream code.
TOKENS = 77

TEMPLATE = "A computerized tomography of a {}."


def finding_text(text: str, count: Callable[[str], int]) -> tuple[str, str]:
    """Make of a finding what goes into :data:`TEMPLATE`.

    The template ends the sentence itself, so the finding's own full stop goes.

    Parameters
    ----------
    text
        The finding as it stands.
    count
        Tokens that the tokenizer makes of a whole sentence, begin and end included.

    Returns
    -------
    kept, dropped : str
        What fits, and what does not (empty when all fits).
    """
    return fit(one_line(text).rstrip(" ."), lambda part: count(TEMPLATE.format(part)), TOKENS)
