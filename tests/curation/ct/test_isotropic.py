"""Sizes of findings on an isotropic grid, beside true resampling."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from curation.commands.sizes import sizes
from curation.ct.isotropic import finding_sizes, new_length
from harness.cli.settings import Settings
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


def test_the_command_counts_focal_and_non_focal_findings(tmp_path: Path) -> None:
    """Medians of both, and the histogram of Figure S1; a finding that vanishes in resampling is in no bin, and told."""
    masks = np.zeros((3, 12, 12, 12), np.uint8)
    masks[0, 2:6, 2:6, 2:6] = 1  # 64 voxels of 1 mm
    masks[1, 2:10, 2:10, 2:10] = 1  # 512
    masks[2, 0, 0, 0] = 1
    for folder, kind, channels in (("ct", np.int16, masks[:1]), ("seg", np.uint8, masks)):
        (tmp_path / folder).mkdir()
        shape = masks.shape[1:] if folder == "ct" else masks.shape
        values = np.moveaxis(channels[0] if folder == "ct" else channels, -1, 0)
        write_volume(tmp_path / folder / "a.nii.gz", kind, shape, np.eye(4), values)
    texts, codes = {"0": "a", "1": "b", "2": "c"}, {"0": "2d", "1": "1a", "2": "2d"}
    index = {"test": [{"name": "a.nii.gz", "findings": texts, "categories": codes}]}
    (tmp_path / "dataset.json").write_text(json.dumps(index))
    run = CliRunner().invoke(sizes, [str(tmp_path), "--json"], obj=Settings(tmp_path))
    assert run.exit_code == 0, run.output
    bins = json.loads(run.stdout)["histogram"]
    assert [(one["focal"], one["non_focal"]) for one in bins if one["low"] <= 64 < one["high"]] == [(1, 0)]
    assert [(one["focal"], one["non_focal"]) for one in bins if one["low"] <= 512 < one["high"]] == [(0, 1)]
    assert sum(one["focal"] for one in bins) == 2
    coarse = CliRunner().invoke(sizes, [str(tmp_path), "--spacing", "3"], obj=Settings(tmp_path))
    rows = {line.split()[0]: line.split() for line in coarse.stdout.splitlines() if line}
    assert rows["focal"][1] == "2"
    assert rows["non-focal"][1] == "1"
    assert "1 finding without any voxel" in coarse.stdout
    assert max(map(len, coarse.stdout.splitlines())) <= 80
