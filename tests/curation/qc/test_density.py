"""Voxels that a category cannot have are seen, and a sound mask of each may have edges."""

from __future__ import annotations

import numpy as np
import pytest

from curation.qc.density import PLAUSIBLE
from curation.schema import CODES

LUNG = -850.0


@pytest.mark.parametrize(
    ("category", "sound", "wrong"),
    [
        ("1c", -960, 40),
        ("1c", -960, LUNG),
        ("2e", 10, -800),
        ("2d", 40, LUNG),
        ("2d", -600, LUNG),
        ("2c", -620, 40),
        ("2g", -990, 40),
        ("2b", 30, LUNG),
        ("1f", -920, 20),
        ("2h", -980, LUNG),
    ],
)
def test_wrong_voxels(category: str, sound: float, wrong: float) -> None:
    """Of sound voxels a tenth may be wrong; of wrong ones all are seen. An unknown lung is not compared with."""
    rule = PLAUSIBLE[category]
    voxels = np.full(100, float(sound))
    voxels[:10] = wrong
    assert rule.others(voxels, LUNG) <= rule.share
    assert rule.others(np.full(100, float(wrong)), LUNG) > rule.share
    if wrong == LUNG and category not in {"1c", "2b"}:
        assert rule.others(np.full(100, LUNG), None) <= rule.share or category in {"2d", "2c"}


def test_every_category_of_lung_and_pleura_has_limits() -> None:
    """The fourteen that are drawn."""
    assert set(PLAUSIBLE) == {code for code in CODES if code[0] in "12" and code[1:].isalpha()}
