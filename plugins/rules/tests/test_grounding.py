"""What the rules find in a drawn thorax whose findings are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.rules.grounding import segment

pytestmark = pytest.mark.costly

orientations: Any = nib.orientations  # untyped
Mask = NDArray[np.bool_]
RIGHT, LEFT = (72.0, 0.0, 0.0), (-72.0, 0.0, 0.0)


def dice(a: Mask, b: Mask) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def found(thorax: Any, text: str) -> Mask:
    return segment(thorax.hu, thorax.affine, [text])[0]


def test_a_ball_of_the_stated_size_is_the_nodule(thorax: Any) -> None:
    """A solid ball of 20 mm is found as a whole."""
    ball = thorax.fill(thorax.ellipsoid((80, 10, 20), (10, 10, 10)), 40.0)
    assert dice(found(thorax, "Solid nodule measuring 20 mm in the right lung"), ball) > 0.85


def test_the_size_chooses_between_two_balls(thorax: Any) -> None:
    """The stated diameter decides, not the contrast."""
    large = thorax.fill(thorax.ellipsoid((80, 10, 30), (14, 14, 14)), 40.0)
    small = thorax.fill(thorax.ellipsoid((70, -20, -40), (6, 6, 6)), 40.0)
    assert dice(found(thorax, "28 mm nodule"), large) > 0.8
    assert dice(found(thorax, "12 mm nodule"), small) > 0.5


def test_the_count_is_kept(thorax: Any) -> None:
    """As many nodules as the text says."""
    balls = [thorax.fill(thorax.ellipsoid((70, 0, z), (7, 7, 7)), 40.0) for z in (-50, 0, 50)]
    assert dice(found(thorax, "Three nodules measuring 14 mm in the right lung"), balls[0] | balls[1] | balls[2]) > 0.7
    single = found(thorax, "A single nodule measuring 14 mm in the right lung")
    assert sum(bool((single & ball).any()) for ball in balls) == 1


@pytest.mark.parametrize(("side", "centre"), [("right", RIGHT), ("left", LEFT)])
def test_the_side_is_the_patients(thorax: Any, side: str, centre: tuple[float, float, float]) -> None:
    """Right is the patient's right, which the affine tells."""
    for place in (RIGHT, LEFT):
        thorax.fill(thorax.ellipsoid(place, (9, 9, 9)), 40.0)
    mask = found(thorax, f"18 mm nodule in the {side} lung")
    assert dice(mask, thorax.ellipsoid(centre, (9, 9, 9))) > 0.8


@pytest.mark.parametrize(("lobe", "z"), [("upper", 75.0), ("lower", -75.0)])
def test_the_lobe_decides(thorax: Any, lobe: str, z: float) -> None:
    """Far above and far below the fissure, there is no doubt about the lobe."""
    for height in (75.0, -75.0):
        thorax.fill(thorax.ellipsoid((-72, -10, height), (9, 9, 9)), 40.0)
    mask = found(thorax, f"18 mm nodule in the left {lobe} lobe")
    assert dice(mask, thorax.ellipsoid((-72, -10, z), (9, 9, 9))) > 0.8


DIFFUSE: list[tuple[str, tuple[float, float, float], tuple[float, float, float], float, float]] = [
    ("Ground-glass opacity in the right lung", (75, -30, -30), (25, 25, 25), -600.0, 0.8),
    ("Consolidation in the left lower lobe", (-72, -50, -40), (30, 28, 30), 30.0, 0.8),
    ("Consolidation of the right lung at the mediastinum", (24, 0, 20), (18, 18, 20), 30.0, 0.6),
    ("Emphysema in the right lung", (75, 20, 40), (25, 25, 25), -985.0, 0.8),
    ("Bulla in the left lung", (-75, 20, 40), (15, 15, 15), -1000.0, 0.8),
    ("30 mm cyst in the left lung", (-75, 0, 0), (15, 15, 15), -1000.0, 0.7),
    ("Large mass measuring 60 mm in the right lung", (75, -10, 0), (30, 30, 30), 40.0, 0.8),
]


@pytest.mark.parametrize(("text", "centre", "radii", "hu", "least"), DIFFUSE)
def test_an_ellipsoid_of_each_density_is_found(
    thorax: Any,
    text: str,
    centre: tuple[float, float, float],
    radii: tuple[float, float, float],
    hu: float,
    least: float,
) -> None:
    """Size, HU and place as the text says give the shape back."""
    side = "right" if centre[0] > 0 else "left"
    shape = thorax.fill(thorax.ellipsoid(centre, radii) & thorax.lungs(side), hu)
    assert dice(found(thorax, text), shape) > least


def test_fluid_at_the_back_is_the_effusion(thorax: Any) -> None:
    """Water in the dependent part of one lung."""
    fluid = thorax.lungs("right") & (thorax.axes[1] < -45) & (thorax.axes[2] < 30)
    thorax.fill(fluid, 8.0)
    mask = found(thorax, "Right pleural effusion")
    assert dice(mask, fluid) > 0.75
    assert not (mask & thorax.lungs("left")).any()


def test_free_air_at_the_front_is_the_pneumothorax(thorax: Any) -> None:
    """Air between chest wall and lung, behind a film of pleura."""
    hemithorax = thorax.lungs("left")
    air = hemithorax & (thorax.axes[1] > 35)
    thorax.fill(hemithorax & (np.abs(thorax.axes[1] - 33) < 3), -300.0)
    thorax.fill(air, -1000.0)
    assert dice(found(thorax, "Left pneumothorax"), air) > 0.8


def test_plaque_of_calcium_is_not_lung(thorax: Any) -> None:
    """Bright plaque at the pleura, no rib behind it."""
    shell = thorax.ellipsoid((72, 0, 0), (55, 80, 110)) & ~thorax.ellipsoid((72, 0, 0), (49, 74, 104))
    plaque = thorax.fill(shell & (thorax.axes[0] > 90) & (np.abs(thorax.axes[2]) < 30), 600.0)
    assert dice(found(thorax, "Calcified pleural plaque on the right"), plaque) > 0.5


def test_calcium_in_the_lung_is_a_nodule_not_bone(thorax: Any) -> None:
    """The calcified one of two nodules, however bright."""
    thorax.fill(thorax.ellipsoid((70, 20, 40), (6, 6, 6)), 40.0)
    calcified = thorax.fill(thorax.ellipsoid((80, -10, -20), (6, 6, 6)), 700.0)
    assert dice(found(thorax, "Calcified nodule measuring 12 mm in the right lung"), calcified) > 0.6


@pytest.mark.parametrize("text", ["No pleural effusion", "No nodule in the left lung"])
def test_what_is_denied_is_empty(thorax: Any, text: str) -> None:
    """A text that denies its finding gets no voxel."""
    assert not found(thorax, text).any()


def test_what_is_there_is_never_empty(thorax: Any) -> None:
    """The text says that there is something; a best guess is given, in the lungs."""
    mask = found(thorax, "Honeycombing in the left lower lobe")
    assert mask.any()
    assert not (mask & thorax.lungs("right")).any()


def test_a_spared_lung_holds_nothing(thorax: Any) -> None:
    """Haze everywhere, but the text spares one lung."""
    for side in ("right", "left"):
        thorax.fill(thorax.lungs(side) & (thorax.axes[2] < 0), -600.0)
    mask = found(thorax, "Diffuse ground-glass opacities sparing the left lung")
    assert mask.any()
    assert not (mask & thorax.lungs("left")).any()


@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR", "SAL", "ILA", "AIL"])
def test_orientation_does_not_matter(small: Any, codes: str) -> None:
    """The same scan stored along other axes gives the same voxels of the patient."""
    small.fill(small.ellipsoid((80, 10, 20), (9, 9, 9)), 40.0)
    small.fill(small.ellipsoid((-72, -40, -40), (25, 25, 25)), -600.0)
    texts = ["18 mm nodule in the right lung", "Ground-glass opacity in the left lower lobe", "Emphysema"]
    expected = segment(small.hu, small.affine, texts)
    turn = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(codes))
    stored = orientations.apply_orientation(small.hu, turn)
    affine = small.affine @ orientations.inv_ornt_aff(turn, small.hu.shape)
    assert "".join(orientations.aff2axcodes(affine)) == codes
    for mask, wanted in zip(segment(stored, affine, texts), expected, strict=True):
        assert mask.shape == stored.shape
        assert np.array_equal(mask, orientations.apply_orientation(wanted, turn))


def test_an_oblique_affine_is_taken_to_its_nearest_axes(small: Any) -> None:
    """A tilt of ten degrees changes nothing."""
    small.fill(small.ellipsoid((80, 10, 20), (9, 9, 9)), 40.0)
    text = "18 mm nodule in the right lung"
    tilt = np.radians(10)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    tilted = segment(small.hu, turn @ small.affine, [text])[0]
    assert np.array_equal(tilted, found(small, text))


def test_the_same_case_gives_the_same_masks_whatever_its_dtype(small: Any) -> None:
    """Deterministic, and int16 is as good as float32."""
    whole = np.rint(small.hu)
    texts = ["Emphysema", "Nodules in both lungs", "Scarring at both apices", "Reticulation"]
    first = segment(whole.astype(np.int16), small.affine, texts)
    second = segment(whole.astype(np.float32), small.affine, texts)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_finding_does_not_depend_on_the_others(small: Any) -> None:
    """Each finding alone gives what it gives among others."""
    texts = ["Emphysema in the right lung", "Left pleural effusion", "Nodules in both lungs"]
    together = segment(small.hu, small.affine, texts)
    for text, mask in zip(texts, together, strict=True):
        assert np.array_equal(found(small, text), mask)


def test_thick_slices(draw: Callable[..., Any]) -> None:
    """Slices of 5 mm, pixels of 1 mm."""
    thorax = draw((1.0, 1.0, 5.0))
    ball = thorax.fill(thorax.ellipsoid((80, 10, 20), (10, 10, 10)), 40.0)
    assert dice(found(thorax, "20 mm nodule in the right lung"), ball) > 0.8


@pytest.mark.parametrize(
    "crop",
    [
        (slice(70, 122), slice(None), slice(None)),
        (slice(80, 110), slice(35, 65), slice(35, 65)),
        (slice(60, 128), slice(20, 80), slice(30, 70)),
    ],
)
def test_a_crop_is_enough(thorax: Any, crop: tuple[slice, slice, slice]) -> None:
    """One lung, a nodule with some lung around it, or a part without the body's border; the side may be unknown."""
    ball = thorax.fill(thorax.ellipsoid((80, 10, 10), (9, 9, 9)), 40.0)
    affine = thorax.affine.copy()
    affine[:3, 3] = affine[:3, :3] @ [s.start or 0 for s in crop]
    mask = segment(thorax.hu[crop], affine, ["18 mm nodule in the right lung"])[0]
    assert dice(mask, ball[crop]) > 0.8


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 30), (40, 30, 1), (2, 3, 5), (33, 17, 9)])
@pytest.mark.parametrize("hu", [-1000, -850, 40, 3000])
def test_a_volume_without_a_chest_gets_masks_all_the_same(shape: tuple[int, int, int], hu: int) -> None:
    """Air, lung, tissue or metal only, down to one voxel: masks of the right shape, and no error."""
    texts = ["Emphysema", "5 mm nodule in the right upper lobe", "Left pleural effusion", "Pleural thickening", "Bands"]
    texts += ["Ground glass", "Bronchiectasis", "Pneumothorax", "Honeycombing", "Micronodules", "Septal thickening"]
    masks = segment(np.full(shape, hu, np.int16), np.diag([0.7, 0.7, 1.0, 1.0]), texts)
    assert all(mask.shape == shape and mask.dtype == np.bool_ for mask in masks)


def test_missing_values_and_padding_are_air(thorax: Any) -> None:
    """NaN, infinities and values far outside the scale do no harm."""
    ball = thorax.fill(thorax.ellipsoid((80, 10, 20), (10, 10, 10)), 40.0)
    thorax.hu[:4] = np.nan
    thorax.hu[-4:] = -32768
    thorax.hu[:, :3] = np.inf
    assert dice(found(thorax, "20 mm nodule in the right lung"), ball) > 0.8
