"""The golden test of orientation: an asymmetric patient looks the same however the scan was stored; what is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.dataset import Case
from leaderboard.gallery.parts import Layer, model_layer, reference_layer
from leaderboard.gallery.pictures import MODEL, REFERENCE, STILLS, Drawn, draw_finding, draw_slices, percent
from leaderboard.gallery.scans import Marked, Scan, read_scan
from tests.leaderboard.gallery.conftest import GRID
from tests.leaderboard.gallery.test_packed import content, unpacked

pytestmark = pytest.mark.costly

CENTRES = ((33.0, 14.0, 16.5), (9.5, 28.0, 5.0))
ORDERS = ["LPS", "RAS", "RPS", "LAS", "PLS", "SAR", "LPI"]
DEPTHS = list(range(GRID[2]))[::-1]


def drawn(scan: Scan, *layers: Layer) -> Drawn:
    return draw_finding(scan, layers, DEPTHS, ct="ct", name="p", undrawn=[("Other", "its reason")])


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("flip", [(), (0, 1), (1,)])
def test_lesions_lie_where_they_are(make_dataset, tmp_path: Path, axes: str, flip: tuple[int, ...]) -> None:
    """The left anterior lesion lies right of the middle and above it; the right posterior one left and below."""
    dataset = make_dataset(tmp_path, [axes], flip=flip)
    scan = read_scan(dataset.split("test")[0])
    truth = scan.truth(dataset.mask_flip)
    assert scan.shape == GRID
    assert scan.spacing == pytest.approx((3, 4, 5))
    for channel, middle in enumerate(CENTRES):
        found = drawn(scan, reference_layer(truth[channel], scan))
        [layer] = content(found.files["p-masks.js"], "Masks")["masks"]
        sheet = found.picture.sheet
        cells = np.stack([unpacked(layer, place, GRID[:2]) for place in range(GRID[2])], axis=2)
        assert [*np.argwhere(cells).mean(axis=0)[:2], sheet["depths"][0] - np.argwhere(cells)[:, 2].mean()] == (
            pytest.approx(middle)
        )
        assert cells[:, :, sheet["key"]].sum() == cells.sum(axis=(0, 1)).max()
        mm = np.array(sheet["affine"]) @ [*middle, 1]
        assert mm == pytest.approx((-middle[0] * 3, -middle[1] * 4, middle[2] * 5))  # RAS+
    assert sheet["sided"]


def test_stored_orders_give_the_same_pictures(make_dataset, tmp_path: Path) -> None:
    """However the scan is stored, every file of the picture is the same to the byte."""
    found = []
    for case in make_dataset(tmp_path, ORDERS).split("test"):
        scan = read_scan(case)
        files = drawn(scan, reference_layer(scan.truth(())[0], scan)).files
        found.append(files | draw_slices(scan, DEPTHS, "ct"))
    assert len(found[0]) == 2 + GRID[2]
    assert all(files == found[0] for files in found[1:])


def test_model_and_reference_differ_in_form(make_dataset, tmp_path: Path) -> None:
    """In grey as well: the outline of the reference has gaps and leaves its inside free, a model's mask is hatched."""
    scan = read_scan(make_dataset(tmp_path, ["LPS"]).split("test")[0])
    truth = scan.truth(())[0]
    found = drawn(scan, reference_layer(truth, scan), model_layer("m", "Model", truth.points, scan, reference=None))
    reference, model = (pixels(found.files[f"p-still-{number}.webp"]) for number in (0, 1))
    y, x = np.nonzero(np.abs(reference - REFERENCE).sum(axis=-1) < 90)
    inside = np.s_[y.min() + 4 : y.max() - 3, x.min() + 4 : x.max() - 3]
    assert model[inside].mean(axis=-1).std() > 3 * reference[inside].mean(axis=-1).std()
    edge = reference[y.min() + 1, x.min() : x.max()].sum(axis=-1)
    assert (edge < 150).sum() > 5
    assert (edge > 400).sum() > 5
    assert np.abs(model - MODEL).sum(axis=-1).min() < 200


def test_numbers_say_what_is_not_seen(make_dataset, tmp_path: Path) -> None:
    """Size, share that is false and missed, share in the still; what lies on slices that are not shown; who is not."""
    scan = read_scan(make_dataset(tmp_path, ["LPS"]).split("test")[0])
    truth = scan.truth(())[0]
    far = np.array([[2, 3, 0], [3, 3, 0], [45, 37, 23]], np.int16)
    mine = np.concatenate([truth.points[: len(truth.points) // 2], far])
    layers = [reference_layer(truth, scan), model_layer("m", "Model", mine, scan, reference=truth, dice=0.5)]
    whole = drawn(scan, *layers).picture
    assert whole.facts == ["All 24 slices of the scan are shown."]
    assert whole.undrawn == [("Other", "its reason")]
    [_, panel] = whole.panels
    words = "; ".join(panel["facts"])
    assert words.startswith("3 parts, the largest ")
    assert "mm" in words
    assert f"{100 * 3 / len(mine):.0f} % of it false, 50 % missed" in words
    some = draw_finding(scan, layers, [17, 16, 15], ct="ct", name="p").picture
    assert some.facts[0] == "3 of the scan's 24 slices are shown."
    outside = int((~np.isin(mine[:, 2], [15, 16, 17])).sum())
    assert any(line.startswith("Model: ") and f"({outside:,} voxels)" in line for line in some.facts)
    [described] = [
        layer for layer in content(drawn(scan, *layers).files["p-masks.js"], "Masks")["layers"] if layer["false"]
    ]
    assert described["false"]["number"] == 2
    assert [part[0] for part in described["false"]["listed"]] == [2, 1]
    assert described["false"]["listed"][1][-3:] == [45, 37, 23]


def test_masks_without_a_ct_are_drawn_alone() -> None:
    """The picture is there, on black, and says what is not known: no CT, no sides, no millimetres."""
    scan = Scan(Case("case", "test", (), declared_shape=(20, 16, 5)), None)
    truth = Marked(np.argwhere(np.ones((3, 3, 3))).astype(np.int16), np.ones(27, np.int64))
    found = draw_finding(scan, [reference_layer(truth, scan)], [4, 3, 2, 1, 0], ct="ct", name="p")
    assert draw_slices(scan, [4, 3], "ct") == {}
    sheet = found.picture.sheet
    assert (sheet["ct"], sheet["sided"], sheet["measured"]) == ("", False, False)
    facts = " ".join(found.picture.facts)
    assert "no CT" in facts
    assert "no R and no L" in facts
    assert "nothing is said in mm" in facts
    assert found.picture.panels[0]["facts"] == ["1 part, the largest of 27 voxels", "33 % of it in this picture"]
    assert (np.abs(pixels(found.files["p-still-0.webp"]) - REFERENCE).sum(axis=-1) < 90).any()


def test_many_rows_have_few_stills_and_all_masks(make_dataset, tmp_path: Path) -> None:
    """The page stays light; the viewer has every mask."""
    scan = read_scan(make_dataset(tmp_path, ["LPS"]).split("test")[0])
    truth = scan.truth(())[0]
    models = [model_layer(f"m{n}", f"M{n}", truth.points, scan, reference=truth) for n in range(STILLS + 3)]
    found = drawn(scan, reference_layer(truth, scan), *models)
    assert len(found.picture.panels) == STILLS + 1
    assert len(found.picture.sheet["layers"]) == STILLS + 4
    assert len(json.dumps(found.picture.sheet)) < 4000


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(0, 9, "0 %"), (1, 1000, "less than 1 %"), (999, 1000, "99 %"), (9, 9, "100 %"), (0, 0, "0 %"), (1, 3, "33 %")],
)
def test_some_is_never_none_and_never_all(part: int, whole: int, said: str) -> None:
    """A share is rounded, but not to nothing and not to everything."""
    assert percent(part, whole) == said
