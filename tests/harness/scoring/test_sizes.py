"""Sizes of findings: where groups are cut, what they are cut from, and the histogram of volumes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import quantiles

import nibabel as nib
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.dataset import Case, Dataset, Finding
from harness.rows import FindingDetails, FindingRow, InstanceRow
from harness.scoring.profiles import PROFILES
from harness.scoring.sizes import SizeCuts, cuts_of, cuts_on, log_bins, volume_bins
from harness.scoring.summary import summarise

SHAPE = (8, 6, 5)


def _row(case: str, ratio: float | None) -> FindingRow:
    details = FindingDetails(truth_entities=1, size_ratio=ratio)
    return FindingRow(case=case, finding="0", index=0, category="2d", text="", status="ok", dice=0.5, details=details)


@pytest.fixture
def split(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a maker of a split whose case number n has one finding of n voxels, in two entities."""

    def make(*voxels: int, without: tuple[int, ...] = ()) -> Dataset:
        cases = []
        for n in voxels:
            labels = np.zeros(math.prod(SHAPE), np.uint8)
            labels[:n] = 1
            labels[: n // 2] = 2
            truth = tmp_path / f"{n}.nii.gz"
            nib.save(nib.Nifti1Image(labels.reshape(1, *SHAPE, order="F"), np.eye(4)), truth)
            here = None if n in without else truth
            cases.append(Case(f"c{n}", "test", (Finding(0, "0", ""),), truth=here, declared_shape=SHAPE))
        return Dataset(tmp_path, tmp_path / "dataset.json", "d", {"test": tuple(cases)})

    return make


def test_the_cuts_are_percentiles() -> None:
    """The median, and the upper quartile with linear interpolation; what is not known does not count."""
    ratios = [0.5, 0.01, 0.03, 0.02, 0.2]
    cuts = cuts_of([*ratios, None])
    assert cuts is not None
    _, median, upper = quantiles(ratios, n=4, method="inclusive")
    assert (cuts.small, cuts.medium, cuts.n) == (pytest.approx(median), pytest.approx(upper), 5)
    assert cuts_of([None]) is None


def test_a_part_of_a_split_has_the_cuts_of_the_whole(split) -> None:
    """A finding is in one group, however many cases were scored with it."""
    voxels = (1, 2, 4, 8, 16, 32, 64, 128)
    data = split(*voxels)
    rows = [_row(f"c{n}", n / math.prod(SHAPE)) for n in voxels]
    whole = cuts_on(data, "test", rows)
    assert whole == cuts_on(data, "test", rows[:3])
    assert whole is not None
    assert whole.n == 8
    profile = PROFILES["mlhc2025"]
    of_part = summarise(rows[:3], profile, cuts=whole)["dice"]["by_size"]
    assert {name: cell["n"] for name, cell in of_part.items()} == {"small": 3, "medium": 0, "large": 0}
    own = summarise(rows[:3], profile)["dice"]["by_size"]
    assert own["large"]["n"] == 1, "by its own percentiles the same finding would be large"


def test_a_truth_that_is_not_here_is_told(split) -> None:
    """The percentiles are of those that are here, and the others are counted."""
    cuts = cuts_on(split(1, 2, 4, 8, without=(8,)), "test", [_row("c1", 1 / math.prod(SHAPE))])
    assert cuts is not None
    assert (cuts.n, cuts.lacking) == (3, 1)
    assert "of the 3 findings of the split, without 1 that have no ground truth here" in cuts.origin


def test_cuts_are_read_back() -> None:
    """From a run's record, also of a later version; one of an earlier version has none."""
    cuts = SizeCuts(0.001, 0.01, "split", 19)
    assert SizeCuts.recorded({"sizes": {**cuts.to_json(), "later": 1}}) == cuts
    assert SizeCuts.recorded({}) is None
    assert cuts.same_groups(replace(cuts, of="fixed", n=0))
    assert not cuts.same_groups(replace(cuts, small=0.002))
    assert not cuts.same_groups(None)
    assert cuts.bounds == "small: up to 0.1 % of the scan; medium: up to 1 %; large: above"


def test_the_volume_of_a_finding_is_that_of_its_entities() -> None:
    """Components of the prediction do not count; without a spacing, or without any record, it is not known."""
    truth, other = InstanceRow("truth", 1, 4, 2.5, "found"), InstanceRow("prediction", 1, 9, 5.625, "true")
    assert FindingDetails(rows=(truth, replace(truth, label=2, mm3=1.25), other)).volume_ul == 3.75
    assert FindingDetails(rows=(truth, replace(truth, label=2, mm3=None))).volume_ul is None
    assert FindingDetails().volume_ul is None


@given(st.lists(st.tuples(st.none() | st.floats(0, 1e6), st.sampled_from([None, "1a", "2d"])), max_size=30))
def test_every_finding_is_counted_once(findings: list[tuple[float | None, str | None]]) -> None:
    """Focal and non-focal ones apart, in the one bin that holds the volume."""
    bins = volume_bins(findings)
    for code, counts in (("2d", [one.focal for one in bins]), ("1a", [one.non_focal for one in bins])):
        mine = [volume for volume, category in findings if category == code and volume]
        assert counts == [sum(one.low <= volume < one.high for volume in mine) for one in bins]
        assert sum(counts) == len(mine)


@example([99.99999999999999])  # its logarithm is that of 100
@given(st.lists(st.floats(1e-7, 100), min_size=1, max_size=30))
def test_bins_hold_every_value(values: list[float]) -> None:
    """Each value lies in exactly one bin, its lower edge included."""
    edges = log_bins(values)
    for value in values:
        assert sum(low <= value < high for low, high in itertools.pairwise(edges)) == 1
