"""What needs no torch: the declaration, the words of a text, and the way from a CT to the net's frame and back."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.discovery import Registry
from plugins import tiny

ROOT = Path(tiny.__file__).parent


def _module(name: str) -> ModuleType:
    """Import a file of the plugin as the image does, without leaving its name behind."""
    spec = importlib.util.spec_from_file_location(f"tiny_{name}", ROOT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


words = _module("words")
frame = _module("frame")


def test_declaration() -> None:
    """One row untrained, one trained; every number of the recipe is a parameter, and README.md names each."""
    registry = Registry()
    registry.add("tiny", "here", tiny)
    plugin = registry.get("tiny")
    zero_shot, fine_tuned = plugin.model.variants
    assert (zero_shot.fine_tuned, fine_tuned.fine_tuned) == (False, True)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in fine_tuned.params if f"`{name}`" not in readme] == []
    used = "".join((ROOT / f"{name}.py").read_text(encoding="utf-8") for name in ("adapter", "samples"))
    assert [name for name in fine_tuned.params if f'"{name}"' not in used and name != "processes"] == []


def test_places_are_told_apart() -> None:
    """Words of a place count whole or inside longer words, and "bilateral" is not "lateral"."""
    held = {
        text: {place for place, there in zip(words.PLACES, words.places(text), strict=True) if there}
        for text in (
            "Nodule in the anteromedial basal segment of the left lower lobe",
            "Bilateral pleural effusions",
            "Opacity in the lateral segment of the right middle lobe, bilaterally",
            "",
        )
    }
    assert list(held.values()) == [
        {"anter", "medial", "basal", "left", "lower"},
        {"bilateral"},
        {"lateral", "bilateral", "right", "middle"},
        set(),
    ]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("bright nodule", set()),
        ("cleft", set()),
        ("leftover", set()),
        ("slower", set()),
        ("ipsilateral and contralateral", set()),
        ("unilateral", set()),
        ("mediastinal", set()),
        ("left-sided", {"left"}),
        ("lowermost", {"lower"}),
        ("posterolateral", {"poster", "lateral"}),
        ("apicoposterior", {"apic", "poster"}),
        ("superomedial", {"medial"}),
        ("biapical", {"apic"}),
        ("laterobasal", {"basal"}),
    ],
)
def test_a_place_is_a_word_or_its_beginning(text: str, held: set[str]) -> None:
    """Letters inside another word name no place; places that are joined in one word do."""
    assert {place for place, there in zip(words.PLACES, words.places(text), strict=True) if there} == held


@pytest.mark.parametrize(
    ("one", "many"), [("mass", "masses"), ("abscess", "abscesses"), ("nodule", "nodules"), ("cyst", "cysts")]
)
def test_singular_and_plural_share_a_token(one: str, many: str) -> None:
    """A text with one mass and a text with masses have more in common than that they are texts."""
    assert len(set(words.looks(one)) & set(words.looks(many)) - set(words.looks(""))) >= 1


def test_looks_leave_places_out() -> None:
    """Two texts that differ in place alone look the same; sizes in mm and cm are the same steps."""
    assert words.looks("A nodule in the left upper lobe") == words.looks("A nodule in both lower lobes")
    assert words._step("2", "cm") == words._step("20", "mm") == words._step("2,0", "cm")
    assert words.looks("a 4 mm nodule") != words.looks("a 20 mm nodule")
    assert words.looks("ground-glass opacity") != words.looks("consolidation")


@given(st.text(max_size=2000))
def test_any_text_has_words(text: str) -> None:
    """Whatever a text holds, nothing included, it has a bounded number of rows of the vectors, and places."""
    rows = words.looks(text)
    assert 1 <= len(rows) <= 2 * words.MAX_WORDS + 5
    assert all(0 <= row < words.BUCKETS for row in rows)
    assert set(words.places(text)) <= {0.0, 1.0}


def _affine(codes: str, spacing: tuple[float, float, float], tilt: float = 0.0) -> np.ndarray:
    """Return the affine of an array whose axes run to `codes`, turned by `tilt` radians about the patient's axis."""
    turned = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), (1, 1, 1))[:3, :3]
    rotation = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.linalg.inv(turned) @ np.diag(spacing)
    return affine


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LPI", "SRA", "PIR"])
@pytest.mark.parametrize("tilt", [0.0, 0.2])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((40, 36, 30), (3.5, 3.5, 4.5)), ((41, 37, 29), (1.7, 1.7, 2.4)), ((31, 30, 1), (3.0, 3.0, 5.0)),
     ((9, 8, 1000), (3.5, 3.5, 1.0)), ((3, 2, 2), (3.5, 3.5, 3.5))],
)  # fmt: skip
def test_frame_there_and_back(
    codes: str, tilt: float, shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    """A blob in the right front upper corner keeps its corner in the frame, and its voxels on the way back."""
    affine = _affine(codes, spacing, tilt)
    volume = np.full(shape, 0.0, np.float32)
    rng = np.random.default_rng(1)
    blob = rng.random(shape) < 0.3
    found = frame.find_frame(volume, affine, grid_mm=3.5, margin_mm=12.0)
    coarse = found.coarse(blob.astype(np.float32))
    assert found.coordinates().shape == (3, *coarse.shape)
    fine = coarse
    for axis, factor in enumerate(found.factors):
        fine = np.repeat(fine, factor, axis=axis)
    back = found.on_ct(fine > 0.5)
    assert back.shape == shape
    if found.factors == (1, 1, 1):
        np.testing.assert_array_equal(back, blob)
    # Coordinates rise to the right, the front and the head, whatever the stored axes do.
    corner = np.zeros(shape, np.float32)
    world = nib.affines.apply_affine(affine, np.argwhere(np.ones(shape)))
    far = np.argsort(world @ [1, 1, 1])[-max(1, len(world) // 10) :]
    corner[tuple(np.argwhere(np.ones(shape))[far].T)] = 1
    weights = found.coarse(corner)
    centre = (found.coordinates() * weights).reshape(3, -1).sum(1) / weights.sum()
    assert all(value >= -0.01 for value, length in zip(centre, weights.shape, strict=True) if length > 4)


def test_lungs_are_found_in_a_body() -> None:
    """The box is that of the air inside the body, with its margin; air around the body and the table do not count."""
    volume = np.full((60, 50, 40), -1000, np.float32)
    volume[8:52, 6:44] = 40
    volume[14:26, 14:36, 5:35] = -850
    volume[34:46, 14:36, 5:35] = -850
    found = frame.find_frame(volume, np.diag([3.5, 3.5, 3.5, 1.0]), grid_mm=3.5, margin_mm=7.0)
    assert [(round(low), round(high)) for low, high in found.lungs] == [(14, 46), (14, 36), (5, 35)]
    assert found.box == ((12, 48), (12, 38), (3, 37))
    x = found.coordinates()[0]
    assert x[2, 0, 0] == pytest.approx(-1, abs=0.1)
    assert x[-3, 0, 0] == pytest.approx(1, abs=0.1)
