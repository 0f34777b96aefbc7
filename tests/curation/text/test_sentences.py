"""Where sentences end, and that nothing of a report is lost between them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text.sentences import is_lossless, split_sentences


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n ", 0),
        ("One. Two.", 2),
        ("A 4.5 mm nodule. A cyst.", 2),
        ("A 5 mm. nodule in the lung. It is 5 mm. Stable.", 3),
        ("Fractures of the 7. and 8. ribs. Old.", 2),
        ("Clinical and lab. correlation is advised.", 1),
        ("Lesion (cyst? hemangioma?) in the liver. Spleen is normal.", 2),
        ("Density increas.The heart is normal.", 2),
        ("· Hernia · Emphysema", 2),
        ("Sequela changes  Bilateral nephrolithiasis", 2),
        ("Effusion..\nAtelectasis", 2),
        ("both lungs are clear. both hemithorax are symmetrical.", 2),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, count: int) -> None:
    """Decimals, ordinals, abbreviations and questions in parentheses end no sentence; bullets and lines do."""
    sentences = split_sentences(text)
    assert len(sentences) == count
    assert is_lossless(text, sentences)


@given(st.text(alphabet="aB1 .?!;()\n·-", max_size=60))
def test_no_character_is_ever_lost(text: str) -> None:
    """Whatever the text, its sentences hold all of it, in order."""
    assert is_lossless(text, split_sentences(text))


def test_the_papers_sentences(examples: dict[str, Any]) -> None:
    """The findings of Figure S3 are cut where the paper cut them."""
    sentences = [text for code, text in examples["rewrite_S3"]["input"].items() if code[0] == "F"]
    assert split_sentences(" ".join(sentences)) == sentences
