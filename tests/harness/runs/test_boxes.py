"""Box prompts of a run are made once, kept with their digest, and made again where they were changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.dataset import Case, open_dataset
from harness.dataset.boxes import simulate_boxes
from harness.registry.declaration import Prompt, Variant
from harness.registry.protocol import BoxRule
from harness.runs.boxes import KeptBoxes, compare_boxes, keep_boxes


@pytest.fixture
def cases(make_dataset: Callable[..., Path]) -> list[Case]:
    """Two cases with two findings each."""
    return list(open_dataset(make_dataset(2)).split("test"))


@pytest.fixture
def make(cases: list[Case], tmp_path: Path) -> Callable[..., KeptBoxes]:
    """Return a function that makes or reads the boxes of a run; what it says is collected in its ``said``."""
    folder = tmp_path / "run"
    folder.mkdir()
    said: list[str] = []

    def call(earlier: Any, prompt: Prompt = Prompt.BOX, rule: BoxRule = BoxRule.WIDENED) -> KeptBoxes:
        variant = Variant("of-the-test", prompt=prompt, boxes=rule)
        return keep_boxes(folder, cases, variant, mask_flip=(0, 1), seed=4, earlier=earlier, log=said.append)

    call.said = said  # type: ignore[attr-defined]
    return call


def test_they_are_those_of_the_rule(make: Any, cases: list[Case]) -> None:
    """Every finding has the boxes that the rule simulates, and the record counts them."""
    kept = make({})
    assert kept.of(cases[0].id) == simulate_boxes(cases[0], rule=BoxRule.WIDENED, mask_flip=(0, 1), seed=4)
    assert kept.record["prompts"]["number"] == 2 * 3


def test_a_resumption_reads_no_mask(make: Any, cases: list[Case]) -> None:
    """The kept file is enough: the masks may be gone."""
    first = make({})
    for case in cases:
        assert case.truth is not None
        case.truth.unlink()
    assert make(first.record) == first
    assert len(make.said) == 1


def test_a_changed_file_is_made_anew(make: Any, tmp_path: Path) -> None:
    """Boxes that somebody has changed are not the boxes of the record."""
    first = make({})
    (tmp_path / "run" / "boxes.jsonl").write_text("{}\n")
    assert make(first.record) == first
    assert len(make.said) == 2


def test_a_variant_that_is_prompted_by_text_has_none(make: Any, tmp_path: Path) -> None:
    """No mask is read and nothing is written."""
    kept = make({}, Prompt.TEXT)
    assert (kept.record, kept.of("toy_1_a_1"), make.said) == ({}, None, [])
    assert list((tmp_path / "run").iterdir()) == []


def test_another_seed_is_another_record(make: Any, cases: list[Case], tmp_path: Path) -> None:
    """The check of a stored row names boxes that the rule does not give."""
    recorded = make({}).record["prompts"]
    same = compare_boxes(tmp_path / "run", cases, mask_flip=(0, 1), seed=4, recorded=recorded)
    other = compare_boxes(tmp_path / "run", cases, mask_flip=(0, 1), seed=5, recorded=recorded)
    assert same == []
    assert other
