"""Training the classifier: what is withheld, and how scans are kept apart."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from curation.classifier.features import words
from curation.classifier.model import load
from curation.classifier.train import Example, fold_of, joined, read_prompts, read_seeds, train, unheard
from curation.schema import CODES
from harness.categories import CATEGORIES
from harness.errors import PrerequisiteError


def test_joined_phrases_are_about_the_first() -> None:
    """Every ordered pair of lung codes comes as often; the text is the two phrases, the code that of the first."""
    seeds = [Example("Emphysema", "1c"), Example("Atelectasis", "2b"), Example("Gallstones", "5a")]
    assert {(example.text, example.code) for example in joined(seeds)} == {
        (f"{first} {joint} {second}", code)
        for first, second, code in (("Emphysema", "atelectasis", "1c"), ("Atelectasis", "emphysema", "2b"))
        for joint in ("with", "and", "accompanied by")
    }
    counts = Counter(example.code for example in joined(read_seeds()))
    assert set(counts) == set(CATEGORIES)
    assert len(set(counts.values())) == 1


def test_phrases_that_stand_in_an_evaluated_finding_are_withheld() -> None:
    """Word for word, plurals and numbers aside; single letters in common are not enough."""
    seeds = [Example(text, "2d") for text in ("Lung nodules", "Lung nodule of 4 mm", "Nodule", "Module")]
    left = unheard(seeds, [Example("Several lung nodules", "2d"), Example("Lung nodule of 9 mm", "2d")])
    assert [seed.text for seed in left] == ["Module"]


def test_no_phrase_of_ours_is_anybodys_finding(real_data: Path) -> None:
    """None is, as a whole, a finding of the validation split or one of the paper's examples."""
    examples = json.loads((real_data / "text/paper_examples.json").read_text())["categorize_S7_S8"]
    texts = [text for example in examples for text in example["input"].values()]
    texts += [example.text for example in read_prompts(real_data / "text/rex_val_prompts.json")]
    assert not {" ".join(words(text)) for text in texts} & {" ".join(words(seed.text)) for seed in read_seeds()}


def test_every_phrase_of_ours_has_a_code_and_every_code_a_phrase() -> None:
    """The phrases cover all 62 codes, and the shipped classifier knows nearly all of them again."""
    seeds = read_seeds()
    assert {seed.code for seed in seeds} == set(CODES)
    assert sum(load().categorise(seed.text) == seed.code for seed in seeds) / len(seeds) > 0.9


def test_a_scan_never_leaves_its_fold() -> None:
    """The fold depends on the scan's name alone."""
    assert {fold_of("train_1_a_1", 10) for _ in range(3)} == {fold_of("train_1_a_1", 10)}
    assert 0 < len({fold_of(f"train_{n}_a_1", 10) for n in range(200)}) <= 10


def test_training_without_its_library_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-learn is there for development only: without it the error gives the command that installs it."""
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(PrerequisiteError) as missing:
        train([])
    assert "make curation-classifier" in missing.value.fix
