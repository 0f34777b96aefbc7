"""Texts cut to what an encoder takes."""

from __future__ import annotations

import pytest
from groundbench_sdk.texts import fit, one_line, warning
from hypothesis import given
from hypothesis import strategies as st


def words(text: str) -> int:
    return 2 + len(text.split())


def letters(text: str) -> int:
    return len(text)


def test_a_text_that_fits_is_left_alone() -> None:
    """Nothing is cut, and nothing is said to be."""
    assert fit("a nodule  in the lung.", words, 7) == ("a nodule  in the lung.", "")


def test_whole_words_are_cut_from_the_end() -> None:
    """The kept part ends at a word, and the rest is handed back for the warning."""
    assert fit("nodule in the left lung", words, 5) == ("nodule in the", "left lung")
    assert "'left lung'" in warning("0", "left lung", 5, "CLIP")


def test_one_word_that_is_too_long_is_cut_at_a_letter() -> None:
    """There is no blank to cut at."""
    assert fit("pneumonoultramicroscopic", letters, 6) == ("pneumo", "noultramicroscopic")


def test_a_template_that_fills_the_encoder_is_an_error() -> None:
    """Nothing of the text could be read: no silent empty prompt."""
    with pytest.raises(ValueError, match="lacks room"):
        fit("nodule", lambda text: 10 + len(text), 9)


@given(st.text(alphabet=" ab", max_size=40), st.integers(2, 30))
def test_the_kept_part_fits_and_nothing_is_lost(text: str, limit: int) -> None:
    """Kept and dropped words are the words of the text."""
    text = one_line(text)
    kept, dropped = fit(text, letters, limit)
    assert letters(kept) <= limit
    assert (kept + dropped).replace(" ", "") == text.replace(" ", "")
    if dropped and " " in text and len(text.split(" ")[0]) <= limit:
        assert letters(f"{kept} {dropped.split(' ')[0]}") > limit
