"""What a page loads is what was drawn: runs of voxels, levels of HU, bounded sizes."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from leaderboard.gallery.packed import PIXELS, _sevens, masks_script, of_levels, slice_script, to_levels
from leaderboard.gallery.scans import Marked, read_scan


def content(script: bytes, name: str) -> dict:
    """Return what a script hands over."""
    begin = f"window.groundbench{name}(".encode()
    assert script.startswith(begin)
    assert script.endswith(b");\n")
    return json.loads(script[len(begin) : -3])


def unpacked(layer: dict, place: int, shape: tuple[int, int]) -> np.ndarray:
    """Read one slice of a mask as the page does."""
    data = zlib.decompress(base64.b64decode(layer["data"]))
    ends = [0, *layer["ends"]]
    numbers, value, shift = [], 0, 0
    for byte in data[ends[place] : ends[place + 1]]:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
    flat, at = np.zeros(shape[0] * shape[1], int), 0
    for gap, length, part in zip(*[iter(numbers)] * 3, strict=True):
        at += gap
        flat[at : at + length] = part
        at += length
    return flat.reshape(shape[1], shape[0]).T


@given(arrays.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)), elements=st.integers(0, 3)))
def test_masks_are_read_as_they_were(volume: np.ndarray) -> None:
    """Every voxel of every slice with its part, on the slices that are shown, in their order."""
    points = np.argwhere(volume).astype(np.int16)
    mask = Marked(points, volume[tuple(points.T)])
    script, held = masks_script([mask, mask], [2, 0], volume.shape[0], "k", {"more": 1})
    document = content(script, "Masks")
    assert (held, document["key"], document["more"]) == (2, "k", 1)
    for layer in document["masks"]:
        for place, z in enumerate([2, 0]):
            assert (unpacked(layer, place, volume.shape[:2]) == volume[:, :, z]).all()


@given(st.lists(st.integers(0, 2**34), min_size=1, max_size=20))
def test_numbers_of_any_size(numbers: list[int]) -> None:
    """Beside a loop: groups of seven bits, the lowest first."""
    expected = bytearray()
    for number in numbers:
        left = number
        while left > 127:
            expected.append(left & 127 | 128)
            left >>= 7
        expected.append(left)
    assert _sevens(np.array(numbers, np.int64)) == bytes(expected)


def test_masks_that_are_too_large_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is kept whatever it weighs; the caller hears how many are held."""
    noise = np.argwhere(np.random.default_rng(0).random((64, 64, 2)) < 0.5).astype(np.int16)
    mask = Marked(noise, np.ones(len(noise), np.int64))
    monkeypatch.setattr("leaderboard.gallery.packed.MASK_BYTES", 1000)
    script, held = masks_script([mask, mask, mask], [0, 1], 64, "k", {})
    assert held == 1
    assert len(content(script, "Masks")["masks"]) == 1


def test_levels_are_fine_where_tissue_differs() -> None:
    """Forth and back, soft tissue is off by 2 HU at most, lung by 5; beyond the ends there is nothing."""
    hu = np.arange(-1024, 2001, dtype=np.float32)
    error = np.abs(of_levels()[to_levels(hu)] - hu)
    soft = (hu >= -160) & (hu <= 240)
    assert error[soft].max() <= 2.5
    assert error[hu < -160].max() <= 5
    assert error.max() <= 18
    assert to_levels(np.array([-3000, 3000], np.float32)).tolist() == [0, 255]


def test_a_slice_has_the_resolution_of_the_scan(make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pixel a voxel, with the HU that it has; a larger one is shown smaller."""
    scan = read_scan(make_dataset(tmp_path, ["RAS"]).split("test")[0])

    def picture() -> Image.Image:
        document = content(slice_script(scan, 16, "k"), "Slice")
        assert document["key"] == "k"
        return Image.open(io.BytesIO(base64.b64decode(document["image"])))

    levels = np.asarray(picture().convert("L"))
    assert levels.shape == (40, 48)
    hu = of_levels()[levels]
    assert abs(int(hu[14, 33]) - 30) < 25  # the lesion
    assert hu[20, 14] < -750  # a lung
    assert PIXELS >= 512
    monkeypatch.setattr("leaderboard.gallery.packed.PIXELS", 24)
    assert picture().size == (24, 20)
