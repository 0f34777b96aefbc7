"""Sizes of findings on an isotropic grid, beside true resampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curation.ct.isotropic import finding_sizes, new_length
from harness.dataset import Case, Finding
from harness.dataset.nifti import write_volume
from harness.errors import DataError
from tests.curation.ct.conftest import RAW, SHAPE


@pytest.mark.parametrize("target", [0.6, 1.0, 2.5])
def test_sizes_against_true_resampling(tmp_path: Path, target: float) -> None:
    """The sum of repeats equals the count in a volume that is really resampled, nearest neighbour."""
    masks = np.random.default_rng(1).integers(0, 3, (2, *SHAPE)).astype(np.uint8)
    affine = np.diag([0.7, 0.8, 1.5, 1])
    write_volume(tmp_path / "ct.nii.gz", np.int16, SHAPE, affine, np.moveaxis(RAW, 2, 0))
    write_volume(tmp_path / "seg.nii.gz", np.uint8, masks.shape, np.eye(4), np.moveaxis(masks, 3, 0))
    findings = (Finding(0, "0", "a", "2d"), Finding(1, "1", "b", None))
    case = Case("x", "test", findings, tmp_path / "ct.nii.gz", tmp_path / "seg.nii.gz")
    lengths = [new_length(n, mm, target) for n, mm in zip(SHAPE, (0.7, 0.8, 1.5), strict=True)]
    index = [[int((j + 0.5) * n / m) for j in range(m)] for n, m in zip(SHAPE, lengths, strict=True)]
    for number, size in enumerate(finding_sizes(case, target)):
        resampled = masks[number][np.ix_(*index)] > 0
        assert size.resampled == resampled.sum()
        assert size.ratio == pytest.approx(resampled.mean())
        assert size.millilitres == pytest.approx((masks[number] > 0).sum() * 0.7 * 0.8 * 1.5 / 1000)


def test_sizes_need_a_spacing(tmp_path: Path) -> None:
    """Without mask or spacing nothing can be measured."""
    with pytest.raises(DataError, match="no mask"):
        finding_sizes(Case("x", "test", (), declared_spacing=(1.0, 1.0, 1.0)))
