"""The trained classifier: the paper's examples, and its file of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curation.classifier.model import load, parse
from harness.errors import DataError


def test_the_papers_examples(real_data: Path) -> None:
    """Of the 28 findings of Figures S7 and S8, none of which it was trained on, at least 26 get the paper's code."""
    examples = json.loads((real_data / "text/paper_examples.json").read_text())["categorize_S7_S8"]
    pairs = [(example["input"][key], example["output"][key]) for example in examples for key in example["input"]]
    assert len(pairs) == 28
    assert sum(load().categorise(text) == code for text, code in pairs) >= 26


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Bronchial wall thickening and mucus plugging in both lower lobes", "1a"),
        ("Interlobular septal thickening accompanied by pleural effusion", "1d"),
        ("Right pleural effusion with adjacent compressive atelectasis", "2e"),
        ("Compressive atelectasis in the right lower lobe adjacent to the pleural effusion", "2b"),
    ],
)
def test_a_finding_is_what_it_names_first(text: str, code: str) -> None:
    """Text beside the finding does not decide."""
    assert load().categorise(text) == code


def test_weights_survive_their_file() -> None:
    """Writing and reading the weights changes nothing, and the bytes are those that are shipped."""
    classifier = load()
    text = classifier.dump()
    assert parse(text) == classifier
    assert parse(text).dump() == text


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bias": {"1a": 0}, "weights": {}}'])
def test_foreign_weights_are_refused(text: str) -> None:
    """A file that is not a classifier of this schema is refused with what to do."""
    with pytest.raises(DataError) as refusal:
        parse(text)
    assert "curation-classifier" in refusal.value.fix


def test_missing_weights_are_told(tmp_path: Path) -> None:
    """Without the file the error says how to make it."""
    with pytest.raises(DataError, match=r"weights file .* does not exist"):
        load(tmp_path / "classifier.json")
