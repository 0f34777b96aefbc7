"""What a finding has become, and a finding side by side with its absence."""

from __future__ import annotations

import pytest

from curation.text.turned import become, side_by_side


@pytest.mark.parametrize(
    ("clause", "now"),
    [
        ("The infarct in the right lower lobe has become a linear scar", "linear scar in the right lower lobe"),
        ("The previous ground-glass areas turned to thin bands", "thin bands"),
        ("The nodule in the lingula has become smaller", None),
        ("The 9 mm nodule turned into a scar", None),
        ("The left lung has become fibrotic", None),
    ],
)
def test_what_a_finding_has_become_stands_in_its_place(clause: str, now: str | None) -> None:
    """It has the place of what was there; a size is never lost, and a change of one finding is none into another."""
    assert become(clause) == (now or clause)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            "Pleural effusion: right minimal, left absent.",
            "minimal pleural effusion on the right; no pleural effusion on the left",
        ),
        ("Effusions: right 18 mm, left 11 mm.", None),
        ("Effusion: right (-), left (-).", None),
        ("Findings: right lung clear, left absent.", None),
    ],
)
def test_two_sides_of_which_one_is_spared(sentence: str, said: str | None) -> None:
    """Only where one side has the finding, and the other has not, are these two statements."""
    assert side_by_side(sentence) == (said or sentence)
