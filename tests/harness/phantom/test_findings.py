"""Findings look like what their texts say, and lie where their texts say."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from harness.categories import CATEGORIES
from harness.phantom.body import paint_body
from harness.phantom.canvas import Canvas
from harness.phantom.case import PhantomCase
from harness.phantom.findings import Brush
from harness.phantom.findings.bronchi import twig
from harness.phantom.grid import Grid, Points, grid_for
from harness.phantom.patient import Patient
from harness.phantom.plan import Location
from harness.phantom.segments import LOBES
from harness.phantom.trees import Trees

pytestmark = pytest.mark.costly

Mask = npt.NDArray[np.bool_]

#: Category -> bounds of the median HU in its masks. On the small grid thin structures share their voxels with lung.
MEDIAN_HU = {
    "1a": (-500, 60),
    "1b": (-1000, -300),
    "1c": (-1000, -950),
    "1d": (-800, -100),
    "1e": (-700, 60),
    "1f": (-950, -900),
    "2a": (-600, 60),
    "2b": (10, 70),
    "2c": (-720, -480),
    "2d": (-650, 700),
    "2e": (-5, 320),
    "2f": (-980, -300),
    "2g": (-1010, -985),
    "2h": (-1000, 60),
}


def findings(cases: list[PhantomCase], *codes: str) -> Iterator[tuple[PhantomCase, int, str, str, Mask]]:
    """Give case, number, category, text and mask of every finding, or of those of some categories."""
    for case in cases:
        for number, planned in enumerate(case.plan.findings):
            if not codes or planned.category in codes:
                yield case, number, planned.category, case.texts[number], case.finding == number + 1


def named_lobes(text: str) -> set[int]:
    """Read the lobes that a text allows; all of them where it names no place."""
    named = {number for number, name in LOBES.items() if name in text}
    if named:
        return named
    if re.search(r"(both|bilateral|the) (upper|lower) lobes", text):
        return {1, 4} if "upper lobes" in text else {3, 5}
    sides = {"right": {1, 2, 3}, "left": {4, 5}}
    named_sides = [side for side in sides if re.search(rf"\b{side}\b", text, re.IGNORECASE)]
    return sides[named_sides[0]] if len(named_sides) == 1 else set(LOBES)


def test_every_category_is_seen(cases: list[PhantomCase]) -> None:
    """The four test cases of each seed show all 14 categories, each with voxels."""
    for first in range(0, len(cases), 4):
        seen = {code for _, _, code, _, mask in findings(cases[first : first + 4]) if mask.any()}
        assert seen == set(CATEGORIES)


@pytest.mark.parametrize("code", sorted(CATEGORIES))
def test_attenuation_is_that_of_the_disease(cases: list[PhantomCase], code: str) -> None:
    """The median HU inside a mask fits the category."""
    low, high = MEDIAN_HU[code]
    medians = [float(np.median(case.ct[mask])) for case, _, _, _, mask in findings(cases, code)]
    assert medians
    assert all(low <= median <= high for median in medians), medians


def test_emphysema_is_below_950(cases: list[PhantomCase]) -> None:
    """Nearly every voxel of emphysema is below -950 HU, and hardly any of the lung around it is."""
    for case, _, _, _, mask in findings(cases, "1c"):
        lung = (case.anatomy >= 1) & (case.anatomy <= 5) & (case.finding == 0)
        assert (case.ct[mask] < -950).mean() > 0.95
        assert (case.ct[lung] < -950).mean() < 0.03


def test_air_trapping_is_dark_but_no_emphysema(cases: list[PhantomCase]) -> None:
    """Trapped air lies above -950 HU and below the lung around it."""
    for case, _, _, _, mask in findings(cases, "1f"):
        lung = (case.anatomy >= 1) & (case.anatomy <= 5) & (case.finding == 0)
        assert -950 < np.median(case.ct[mask]) < np.median(case.ct[lung]) - 20


def test_masks_lie_in_the_lobes_of_their_text(cases: list[PhantomCase]) -> None:
    """More than nine in ten voxels of a finding in the lung lie in the lobes its text names."""
    for case, _, code, text, mask in findings(cases):
        if code in {"2e", "2g"}:
            continue
        inside = np.isin(case.anatomy, list(named_lobes(text)))
        assert inside[mask].mean() > 0.9, (text, inside[mask].mean())


def test_both_means_both(cases: list[PhantomCase]) -> None:
    """A finding of both lungs, or of both upper or lower lobes, is in each of the two, as separate entities."""
    seen = 0
    for case, number, code, text, mask in findings(cases):
        if code == "2e" or not re.search(r"both|bilateral", text, re.IGNORECASE):
            continue
        seen += 1
        sides = {side: mask & np.isin(case.anatomy, lobes) for side, lobes in {"r": (1, 2, 3), "l": (4, 5)}.items()}
        assert all(side.any() for side in sides.values()), text
        entities = [set(np.unique(case.entity[side])) for side in sides.values()]
        assert not entities[0] & entities[1], (number, text)
    assert seen


def test_pleural_findings_lie_on_their_side_outside_the_lung(cases: list[PhantomCase]) -> None:
    """Fluid, thick pleura and free air are not lung, and lie on the side their text names."""
    for case, _, _, text, mask in findings(cases, "2e", "2g"):
        assert not case.anatomy[mask].any()
        middle = case.ct.shape[0] / 2
        left = np.argwhere(mask)[:, 0] > middle
        if "right" in text.lower() and "left" not in text.lower():
            assert not left.any()
        elif "left" in text.lower() and "right" not in text.lower():
            assert left.all()
        else:
            assert left.any()
            assert not left.all()


def test_effusion_layers_at_the_back(cases: list[PhantomCase]) -> None:
    """Fluid is water-like, lies behind the lung of its side, and is as deep as the text says."""
    seen = 0
    for case, number, _, text, mask in findings(cases, "2e"):
        if "effusion" not in text:
            continue
        seen += 1
        assert -10 < case.ct[mask].mean() < 25
        back = np.argwhere(mask)[:, 1].mean()
        lung = np.isin(case.anatomy, list(named_lobes(text)))
        assert back > np.argwhere(lung)[:, 1].mean() + 8
        depths = [int(depth) for depth in re.findall(r"(\d+) mm", text)]
        parts = [case.entity == entity for entity in np.unique(case.entity[mask])]
        measured = [round((mask & part).sum(axis=1).max() * case.grid.spacing[1]) for part in parts]
        assert sorted(depths) == sorted(measured), number
    assert seen


def test_pneumothorax_rises_to_the_front(cases: list[PhantomCase]) -> None:
    """Free air is as dark as air, and lies in front of the lung of its side."""
    for case, _, _, text, mask in findings(cases, "2g"):
        assert case.ct[mask].mean() < -980
        lung = np.isin(case.anatomy, list(named_lobes(text)))
        assert np.argwhere(mask)[:, 1].mean() < np.argwhere(lung)[:, 1].mean() - 5


def test_honeycombing_and_septa_lie_under_the_pleura(cases: list[PhantomCase]) -> None:
    """Both end within 26 mm of what is not lung."""
    for case, _, _, _, mask in findings(cases, "1d", "2f"):
        lung = (case.anatomy >= 1) & (case.anatomy <= 5) | mask
        depth = ndimage.distance_transform_edt(lung, sampling=case.grid.spacing)
        assert depth[mask].max() < 26


def test_sizes_are_those_of_the_masks(cases: list[PhantomCase]) -> None:
    """The diameters in a text are the longest of any entity, found again by trying all pairs of pixel corners."""
    seen = 0
    for case, _, _, text, mask in findings(cases, "2d", "2h"):
        found = re.search(r"([\d.]+) x ([\d.]+) (mm|cm)", text)
        if not found:
            continue
        seen += 1
        said = [round(float(size) * {"mm": 1, "cm": 10}[found[3]]) for size in found.group(1, 2)]
        longest = 0.0
        for entity, k in itertools.product(np.unique(case.entity[mask]), np.flatnonzero(mask.any(axis=(0, 1)))):
            pixels = np.argwhere(mask[:, :, k] & (case.entity[:, :, k] == entity))
            corners = {
                ((i + a) * case.grid.spacing[0], (j + b) * case.grid.spacing[1])
                for i, j in pixels
                for a, b in itertools.product((0, 1), repeat=2)
            }
            longest = max([longest, *(math.dist(p, q) for p, q in itertools.combinations(corners, 2))])
        assert said[0] == round(longest), text
        assert said[1] <= said[0]
    assert seen


def test_counts_in_words_are_counts(cases: list[PhantomCase]) -> None:
    """Two nodules are two entities, and a singular is one."""
    words = {"One": 1, "Two": 2, "Three": 3, "Four": 4, "Five": 5, "Six": 6}
    for case, number, _, text, mask in findings(cases, "2d", "2h", "2c"):
        entities = len(np.unique(case.entity[mask]))
        first = text.split()[0]
        if first in words:
            assert entities == words[first], (number, text)
        elif not re.search(r"nodules|cysts|bullas|lesions|opacities|Multiple", text):
            assert entities == 1, text


def test_entities_count_from_one(cases: list[PhantomCase]) -> None:
    """Entity ids of a finding are 1..n without a gap, and voxels have an entity where they have a finding."""
    for case, _, _, _, mask in findings(cases):
        ids = np.unique(case.entity[mask])
        assert ids.tolist() == list(range(1, len(ids) + 1))
    assert all(((case.finding > 0) == (case.entity > 0)).all() for case in cases)


def test_ground_glass_keeps_its_vessels(cases: list[PhantomCase]) -> None:
    """Some voxels in ground glass stay as dense as vessels, though most are hazy."""
    dense = [(case.ct[mask] > -350).mean() for case, _, _, _, mask in findings(cases, "2c") if mask.sum() > 300]
    assert dense
    assert all(0 < share < 0.3 for share in dense), dense


def test_bands_stand_on_the_pleura(cases: list[PhantomCase]) -> None:
    """Every band, and every wedge of collapsed lung, reaches within a voxel and a half of what is not lung."""
    seen = 0
    for case, number, code, text, mask in findings(cases, "2a", "2b"):
        if code == "2b" and not case.plan.findings[number].collapsed:
            continue
        lung = ((case.anatomy >= 1) & (case.anatomy <= 5)) | mask
        depth = ndimage.distance_transform_edt(lung, sampling=case.grid.spacing)
        for entity in np.unique(case.entity[mask]):
            seen += 1
            assert depth[mask & (case.entity == entity)].min() < 1.5 * case.grid.voxel, text
    assert seen


def test_lung_that_has_collapsed_is_smaller() -> None:
    """A lobe that has lost volume is smaller than in the same patient without the loss, its neighbour larger."""
    grid = grid_for("small", *Patient().field_of_view)
    points = grid.points(grid.whole)
    neighbours = {1: 2, 2: 1, 3: 1, 4: 5, 5: 4}
    for lobe, neighbour in neighbours.items():
        sound, small = Patient.draw(np.random.default_rng(0)), Patient.draw(np.random.default_rng(0), collapsed=(lobe,))
        before, after = _volumes(sound, points), _volumes(small, points)
        assert after[lobe] < 0.95 * before[lobe]
        assert after[neighbour] > before[neighbour]


def _volumes(patient: Patient, points: Points) -> npt.NDArray[np.intp]:
    return np.bincount(patient.lobes(patient.chest(points)).ravel(), minlength=6)


@pytest.fixture(scope="module")
def fine() -> Canvas:
    """Draw the middle of a right lung as finely as the full size, without vessels."""
    patient = Patient()
    grid = Grid(shape=(110, 160, 35), spacing=(0.65, 0.65, 1.0), start=(-110.0, -75.0, -30.0))
    canvas = Canvas(patient, grid, patient.cloud(np.random.default_rng(0), count=2000))
    paint_body(canvas, 35)
    return canvas


def test_no_fissure_looks_like_an_opacity(fine: Canvas) -> None:
    """In no slice through the horizontal fissure does it reach 8 mm across."""
    hazy = (fine.segments > 0) & (fine.ct > -780)
    assert hazy.any()
    for index in range(hazy.shape[2]):
        assert ndimage.distance_transform_edt(hazy[:, :, index], sampling=0.65).max() < 4, index


def test_buds_hang_on_twigs(fine: Canvas) -> None:
    """Tree-in-bud is one connected thing of a centimetre with four thick ends, not dots."""
    spot = np.array([-75.0, -20.0, -20.0])
    number = int(fine.segments[54, 85, 10])
    brush = Brush(fine, Trees((), ()), Location((number,), ""), 0, False, np.random.default_rng(1))
    assert twig(brush, spot, 20, 1)
    mask = fine.finding == 1
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
    assert np.ptp(np.argwhere(mask) * fine.grid.spacing, axis=0).max() >= 8
    thick = ndimage.distance_transform_edt(mask, sampling=fine.grid.spacing) > 0.9
    assert ndimage.label(thick)[1] >= 3
    fine.finding[mask] = 0
