"""The golden test of orientation: an asymmetric patient looks the same however the scan was stored."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leaderboard.gallery.pictures import MODEL, PIXELS, REFERENCE, SLICES, Drawn, Layer, choose_slices, draw_finding
from leaderboard.gallery.scans import read_scan
from tests.leaderboard.gallery.conftest import GRID

pytestmark = pytest.mark.costly

CENTRES = ((33.0, 14.0), (9.5, 28.0))


HIGHEST = (19 + 2 - 1, 7 + 2 - 1)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)


def centre_of(sheet: np.ndarray, drawn: Drawn, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Return the centre (x, y) of one colour in the key slice, in voxels of the patient."""
    layout = drawn.picture.sheet
    row, column = divmod(layout["key"], layout["columns"])
    width, height = layout["width"], layout["height"]
    part = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
    y, x = np.nonzero((np.abs(part[..., :3] - colour).sum(axis=-1) < 12) & (part[..., 3] > 0))
    return (x.mean() + 0.5) / width * GRID[0], (y.mean() + 0.5) / height * GRID[1]


ORDERS = ["LPS", "RAS", "RPS", "LAS", "PLS", "SAR", "LPI"]


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("flip", [(), (0, 1), (1,)])
def test_lesions_lie_where_they_are(make_dataset, tmp_path: Path, axes: str, flip: tuple[int, ...]) -> None:
    """The left anterior lesion is drawn right of the middle and above it; the right posterior one left and below."""
    dataset = make_dataset(tmp_path, [axes], flip=flip)
    scan = read_scan(dataset.split("test")[0])
    truth = scan.truth(dataset.mask_flip)
    assert scan.shape == GRID
    assert scan.spacing == pytest.approx((3, 4, 5))
    for channel, (x, y) in enumerate(CENTRES):
        drawn = draw_finding(scan, [Layer("Reference", truth[channel])], "p")
        assert centre_of(pixels(drawn.files["p-mask-0.png"]), drawn, REFERENCE) == pytest.approx(
            (x + 0.5, y + 0.5), abs=0.7
        )
        heights = drawn.picture.sheet["slices"]
        assert heights == sorted(heights, reverse=True)
        assert heights[0] == pytest.approx(5 * HIGHEST[channel])


def test_stored_orders_give_the_same_pictures(make_dataset, tmp_path: Path) -> None:
    """However the scan is stored, every file of the picture is the same to the byte."""
    dataset = make_dataset(tmp_path, ORDERS)
    drawn = []
    for case in dataset.split("test"):
        scan = read_scan(case)
        files = draw_finding(scan, [Layer("Reference", scan.truth(())[0])], "p").files
        drawn.append(files)
    assert all(files == drawn[0] for files in drawn[1:])


def test_ct_shows_air_body_and_lungs_in_place(make_dataset, tmp_path: Path) -> None:
    """In the lung window the corner is dark, the body white, a lung grey; the patient's left is on the right."""
    dataset = make_dataset(tmp_path, ["RAS"])
    scan = read_scan(dataset.split("test")[0])
    drawn = draw_finding(scan, [Layer("Reference", scan.truth(())[0])], "p")
    layout = drawn.picture.sheet
    grey = pixels(drawn.files["p-lung.webp"])[..., 0]
    row, column = divmod(layout["key"], layout["columns"])

    def at(x: float, y: float) -> int:
        across = int(column * layout["width"] + (x + 0.5) / GRID[0] * layout["width"])
        down = int(row * layout["height"] + (y + 0.5) / GRID[1] * layout["height"])
        return int(grey[down, across])

    assert at(1, 1) < 75
    assert at(24, 20) > 220
    assert 60 < at(14, 22) < 110  # right lung
    assert at(33, 14) > 220  # the lesion in the left lung
    assert 60 < at(14, 14) < 110  # its mirror image is lung


def test_model_and_reference_differ_in_form(make_dataset, tmp_path: Path) -> None:
    """The reference is an outline that leaves its inside free; a model's mask is filled."""
    dataset = make_dataset(tmp_path, ["LPS"])
    scan = read_scan(dataset.split("test")[0])
    points = scan.truth(())[0]
    drawn = draw_finding(scan, [Layer("Reference", points), Layer("Model", points, 1.0)], "p")
    reference, model = (pixels(drawn.files[f"p-mask-{number}.png"]) for number in (0, 1))
    assert set(np.unique(reference[..., 3])) == {0, 255}
    assert (model[..., 3] > 0).sum() > 2 * (reference[..., 3] > 0).sum()
    assert drawn.picture.panels[1]["dice"] == 1.0
    for colour, sheet in ((REFERENCE, reference), (MODEL, model)):
        assert (np.abs(sheet[sheet[..., 3] == 255][:, :3] - colour).sum(axis=-1) < 12).all()


def test_slices_cover_the_finding_from_the_head_downwards() -> None:
    """All slices of a short finding, evenly spread ones of a long one, never beyond the scan."""
    points = np.array([[0, 0, z] for z in range(3, 6)])
    assert choose_slices(points, 100) == [7, 6, 5, 4, 3, 2, 1]
    assert choose_slices(points, 6) == [5, 4, 3, 2, 1]
    long = choose_slices(np.array([[0, 0, z] for z in range(10, 91)]), 100)
    assert (len(long), long[0], long[-1]) == (SLICES, 92, 8)
    assert long == sorted(set(long), reverse=True)


def test_the_slice_that_shows_most_is_among_those_shown() -> None:
    """Whatever an even spread would miss: the fullest slice is shown, and no empty stretch between scattered parts."""
    points = np.array([[0, 0, z] for z in range(10, 91)] + [[1, 0, 37], [2, 0, 37]])
    chosen = choose_slices(points, 100)
    assert 37 in chosen
    assert (len(chosen), chosen[0], chosen[-1]) == (SLICES, 92, 8)
    scattered = choose_slices(np.array([[0, 0, 5], [0, 0, 60], [1, 0, 60]]), 100)
    assert scattered == [62, 61, 60, 59, 58, 7, 6, 5, 4, 3]
    assert choose_slices(np.array([[0, 0, 0]]), 1) == [0]


def test_picture_is_light(make_dataset, tmp_path: Path) -> None:
    """A slice's longer side has the declared pixels, whatever the voxels; the aspect is that of the body."""
    dataset = make_dataset(tmp_path, ["LPS"])
    scan = read_scan(dataset.split("test")[0])
    sheet = draw_finding(scan, [Layer("Reference", scan.truth(())[0])], "p").picture.sheet
    assert max(sheet["width"], sheet["height"]) == PIXELS
    assert sheet["width"] / sheet["height"] == pytest.approx(48 * 3 / (40 * 4), abs=0.01)
