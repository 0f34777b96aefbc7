"""What a sentence only asks."""

from __future__ import annotations

import pytest

from curation.text.questions import asserted


@pytest.mark.parametrize(
    ("sentence", "stated"),
    [
        ("Nodules, metastasis in both lungs?", "Nodules in both lungs."),
        ("Nodules in both lungs (metastasis?).", "Nodules in both lungs."),
        ("Pneumonia?", "Pneumonia?"),
        ("Nodules in the lingula.", "Nodules in the lingula."),
    ],
)
def test_what_is_asked_beside_a_statement_is_left_out(sentence: str, stated: str) -> None:
    """A place of the question is that of the finding; a sentence that only asks stays whole."""
    assert asserted(sentence) == stated
