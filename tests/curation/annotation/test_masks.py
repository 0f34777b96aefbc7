"""Entities of a mask: numbered as they were drawn."""

from __future__ import annotations

import numpy as np

from curation.annotation.masks import numbered
from tests.curation.annotation.conftest import SHAPE


def test_entities() -> None:
    """Several values stay entities without gaps; one value is cut into components; beyond 255 the rest share one."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2, 2], labels[2, 2, 9], labels[9, 9, 9] = 5, 5, 7
    assert sorted(np.unique(numbered(labels))) == [0, 1, 2]
    assert numbered((labels > 0).astype(np.uint8)).max() == 3
    many = np.zeros((60, 60, 4), np.uint8)
    many[::2, ::2, 0] = 1
    result = numbered(many)
    assert result.max() == 255
    assert np.array_equal(result > 0, many > 0)
