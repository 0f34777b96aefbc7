"""What was drawn of a case comes back as it was, and is known by its voxels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from leaderboard.gallery.drawn import DrawnCase, digest_of_file, digest_of_mask, packed, unpacked
from leaderboard.gallery.pictures import Picture
from leaderboard.gallery.scans import Marked


def test_a_case_comes_back(tmp_path: Path) -> None:
    """Pictures, reasons and files, empty ones and such as look like a document too."""
    picture = Picture([{"title": "A", "dice": 0.1 + 0.2}], {"grid": [1, 2, 3]}, ["a"], [("B", "why")], "v.js", 7)
    files = {"img/a.webp": bytes(range(256)), "img/empty": b"", "img/b.js": b'{"pictures": []}'}
    drawn = DrawnCase({("d", "c", "0"): picture}, "img/strip.svg", {("d", "c", "1"): "nothing"}, files)
    back = unpacked(packed(drawn))
    assert (back.files, back.strip, back.undrawn) == (drawn.files, drawn.strip, drawn.undrawn)
    assert asdict(back.pictures["d", "c", "0"]) == asdict(picture) | {"undrawn": [["B", "why"]]}
    assert packed(back) == packed(drawn)
    assert unpacked(packed(DrawnCase())) == DrawnCase()


def test_a_mask_is_known_by_its_voxels(tmp_path: Path) -> None:
    """And by its entities; no mask is not an empty one."""
    points = np.array([[1, 2, 3], [4, 5, 6]], np.int16)
    one, two = np.array([1, 1]), np.array([1, 2])
    masks = [None, points, points[:1], points[::-1], points[:0], Marked(points, one), Marked(points, two)]
    assert len({digest_of_mask(mask) for mask in masks}) == len(masks)
    assert digest_of_mask(points.copy()) == digest_of_mask(points)
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    assert digest_of_file(tmp_path / "a") != digest_of_file(tmp_path / "b")
