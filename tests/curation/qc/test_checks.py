"""Planted faults are found, and what cannot be judged is not judged."""

from __future__ import annotations

import numpy as np
import pytest

from curation.qc.anatomy import Anatomy, look
from curation.qc.checks import Drawn, check_finding, longest_diameter
from harness.dataset import Case, Finding
from tests.curation.qc.conftest import LEFT, RIGHT, SHAPE, SPACING, both, box, chest


@pytest.fixture(scope="module")
def anatomy(case: Case) -> Anatomy:
    """Lungs from HU alone."""
    return look(case, chest())


@pytest.mark.parametrize(
    ("text", "category", "drawn", "codes"),
    [
        ("12 mm nodule in the right lung", "2d", box(*RIGHT), []),
        ("12 mm nodule in the left lung", "2d", box(*LEFT), []),
        ("Nodules in both lungs", "2d", both(box(*RIGHT), box(*LEFT)), []),
        ("Nodule in the right lung", "2d", Drawn(np.zeros((0, 3), np.int64), np.zeros(0, np.int64)), ["empty"]),
        ("Nodule in the left lung", "2d", box(*RIGHT), ["laterality"]),
        ("Nodules in both lungs", "2d", both(box(*RIGHT), box(20, 40, 20)), ["one-sided"]),
        ("Nodule in the right lung", "2d", box(1, 1, 20), ["outside-body"]),
        ("Nodule", "2d", box(38, 9, 30), ["outside-lung"]),
        ("Pleural effusion", "2e", box(37, 30, 30), []),
        ("40 mm nodule in the right lung", "2d", box(*RIGHT, size=2), ["size"]),
        ("4 mm nodule in the right lung", "2d", box(*RIGHT, size=10), ["size"]),
        ("Effusion measuring 40 mm in the right lung", "2e", box(*RIGHT, size=2), []),
        ("Two nodules in the right lung", "2d", box(*RIGHT), ["entity-count"]),
        ("Two nodules in the right lung", "2d", both(box(*RIGHT), box(20, 40, 20)), []),
        ("A nodule in the right lung", "2d", both(box(*RIGHT), box(20, 40, 20)), ["entity-count"]),
        ("Multiple nodules in the right lung", "2d", box(*RIGHT), ["entity-count"]),
        ("Nodule in the upper lobe of the right lung", "2d", box(20, 30, 8), ["lobe"]),
        ("Nodule in the lower lobe of the right lung", "2d", box(20, 30, 8), []),
        ("Nodule in the right lung", "2d", box(*RIGHT, size=1), ["too-small"]),
        ("Pleural effusion", "2e", box(37, 30, 30, size=1), ["too-small"]),
    ],
)
def test_planted_faults(anatomy: Anatomy, text: str, category: str, drawn: Drawn, codes: list[str]) -> None:
    """Each fault is found under its own name, and a sound mask gives none."""
    finding = Finding(0, "0", text, category)
    assert [problem.code for problem in check_finding(finding, drawn, anatomy, SPACING, "x")] == codes


def test_a_crop_tells_nothing(case: Case) -> None:
    """A crop of a lung has no outside: body, lung and side are not reported."""
    inside = look(case, np.full(SHAPE, -860, np.int16))
    finding = Finding(0, "0", "Nodule in the left lung", "2d")
    assert check_finding(finding, box(*RIGHT), inside, SPACING, "x") == []


def test_longest_diameter_against_all_pairs() -> None:
    """The diameter through the hull equals the largest of all pairwise distances, plus the width of a voxel."""
    rng = np.random.default_rng(0)
    voxels = np.unique(rng.integers(0, 12, (150, 3)), axis=0)
    slowest = 0.0
    for z in np.unique(voxels[:, 2]):
        points = voxels[voxels[:, 2] == z][:, :2] * np.array([0.7, 0.9])
        for a in points:
            for b in points:
                slowest = max(slowest, float(np.hypot(*(a - b))))
    assert longest_diameter(voxels, (0.7, 0.9, 3.0)) == pytest.approx(slowest + 0.8)
    assert longest_diameter(np.array([[1, 1, 1]]), (2.0, 2.0, 1.0)) == 2.0
    line = np.array([[n, 0, 0] for n in range(6)])
    assert longest_diameter(line, (1.0, 1.0, 1.0)) == 6.0
