"""The strip of a case: the slice, the masks where they are, texts of strangers, and the same bytes every time."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from leaderboard.gallery.scans import read_scan
from leaderboard.gallery.strip import COLOURS, Marks, _inside, _outline, choose_slice, strip_of, to_png
from tests.leaderboard.gallery.conftest import GRID

pytestmark = pytest.mark.costly

SVG = "{http://www.w3.org/2000/svg}"
TEXTS = {"0": "left nodule", "1": "right nodule"}


@pytest.fixture(scope="module")
def scan(make_dataset, tmp_path_factory: pytest.TempPathFactory):
    """Return the scan with a lesion high on the left and one low on the right."""
    return read_scan(make_dataset(tmp_path_factory.mktemp("strip"), ["LPS"]).split("test")[0])


def _truth(scan) -> dict[str, np.ndarray]:
    return {str(channel): mask.points for channel, mask in scan.truth(()).items()}


def _points(*counts: tuple[int, int]) -> np.ndarray:
    """Return so many voxels on each slice: (slice, number)."""
    return np.array([(x, 0, z) for z, n in counts for x in range(n)], np.int64).reshape(-1, 3)


def test_the_slice_shows_most_findings() -> None:
    """Many findings before many voxels, then most voxels, then the lowest; an empty finding counts nowhere."""
    large, small, empty = _points((3, 90), (4, 5), (6, 5)), _points((4, 2), (6, 3)), _points()
    assert choose_slice([large, small, empty]) == 6
    assert choose_slice([large]) == 3
    assert choose_slice([_points((2, 4), (5, 4))]) == 2


def test_masks_lie_where_they_are(scan) -> None:
    """The left anterior lesion is drawn right of the middle and above it, in the picture of the row as well."""
    truth = _truth(scan)
    row = Marks("Model", {"0": ("ok", 1.0)}, {"0": truth["0"]})
    root = ET.fromstring(strip_of(scan, TEXTS, truth, [row]))  # noqa: S314 - written here
    groups = [group for group in root.iter(f"{SVG}g") if "transform" in group.attrib]
    assert len(groups) == 2
    width, height = (float(root.find(f".//{SVG}image").attrib[name]) for name in ("width", "height"))
    for group in groups:
        (outline,) = [
            path for path in group.iter(f"{SVG}path") if path.get("stroke") == COLOURS[0] and path.get("fill")
        ]
        starts = np.array(re.findall(r"M([\d.]+) ([\d.]+)", outline.attrib["d"]), float)
        x, y = (starts.min(axis=0) + starts.max(axis=0)) / 2 / (width / GRID[0], height / GRID[1])
        assert x == pytest.approx(33.5, abs=0.6)
        assert y == pytest.approx(14.5, abs=0.6)


def test_stored_orders_give_the_same_strip(make_dataset, tmp_path: Path) -> None:
    """However the scan is stored, and whenever it is drawn, the strip is the same to the byte; so is its PNG."""
    drawn = []
    for case in make_dataset(tmp_path, ["LPS", "RAS", "SAR", "LPS"]).split("test"):
        scan = read_scan(case)
        drawn.append(strip_of(scan, TEXTS, _truth(scan), []))
    assert len(set(drawn)) == 1
    assert to_png(drawn[0]) == to_png(drawn[1])


def test_every_finding_has_its_score_and_text(scan) -> None:
    """A mask that is not at hand, one that was not delivered and one off the slice are told apart."""
    truth = _truth(scan)
    rows = [
        Marks("A", {"0": ("ok", 0.25), "1": ("missing_output", 0.0)}, {"0": truth["0"], "1": None}),
        Marks("B", {"0": ("ok", 0.5)}, {"0": None}),
    ]
    root = ET.fromstring(strip_of(scan, TEXTS, truth, rows, z=16, lines=["last"]))  # noqa: S314 - written here
    words = [text.text for text in root.iter(f"{SVG}text")]
    for expected in (
        *("Reference", "A", "B", "0  Dice 0.250", "1  no mask: missing output", "0  Dice 0.500, mask not at hand"),
        *("1  no mask: not scored", f"1  {len(truth['1'])} voxels, none on this slice", "last"),
    ):
        assert expected in words
    assert any("0  left nodule" in (word or "") for word in words)
    assert any("the one that was asked for" in (word or "") for word in words)


def test_a_text_cannot_leave_its_place(scan) -> None:
    """Markup and control characters of a text, which strangers wrote, stay text; a long one is cut."""
    hostile = '</text><script>alert("x")</script>\x00\u202e & ' + "long " * 2000
    svg = strip_of(scan, {"0": hostile, "1": ""}, _truth(scan), [Marks("<b>", {}, {})], title="<i>")
    root = ET.fromstring(svg)  # noqa: S314 - written here
    assert not list(root.iter(f"{SVG}script"))
    assert svg.count("long ") < 300
    assert "\x00" not in svg
    assert "\u202e" not in svg


def test_many_findings_remain_apart(scan) -> None:
    """With more findings than colours or patterns, no two have both the same."""
    truth = {str(i): _truth(scan)["0"] for i in range(20)}
    svg = strip_of(scan, dict.fromkeys(truth, "x"), truth, [])
    patterns = re.findall(r"<pattern id=.f\d+.[^>]*>(.*?)</pattern>", svg)
    assert len(set(patterns)) == 20


def test_the_png_has_the_size_of_the_svg_twice(scan) -> None:
    """And no transparent pixel."""
    svg = strip_of(scan, TEXTS, _truth(scan), [])
    root = ET.fromstring(svg)  # noqa: S314 - written here
    with Image.open(io.BytesIO(to_png(svg))) as image:
        assert image.size == (2 * int(root.attrib["width"]), 2 * int(root.attrib["height"]))
        assert image.mode == "RGB"


@given(arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_paths_are_the_pixels_and_their_edges(mask: np.ndarray) -> None:
    """Beside loops over pixels: the rectangles cover the mask, the lines are the edges between it and the rest."""
    covered = np.zeros(mask.shape, int)
    for x, a, b in re.findall(r"M(\d+) (\d+)h1V(\d+)h-1z", _inside(mask, (1, 1))):
        covered[int(x), int(a) : int(b)] += 1
    assert (covered == mask).all()
    outline = _outline(mask, (1, 1))
    length = sum(int(b) - int(a) for a, b in re.findall(r"M\d+ (\d+)V(\d+)", outline))
    length += sum(int(b) - int(a) for a, b in re.findall(r"M(\d+) \d+H(\d+)", outline))

    def inside(x: int, y: int) -> bool:
        return 0 <= x < mask.shape[0] and 0 <= y < mask.shape[1] and bool(mask[x, y])

    edges = sum(
        inside(x, y) and not inside(x + dx, y + dy)
        for x in range(mask.shape[0])
        for y in range(mask.shape[1])
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
    )
    assert length == edges
