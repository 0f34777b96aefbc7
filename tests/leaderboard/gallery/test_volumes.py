"""Volumes for the viewer lie where they are in the body."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from leaderboard.gallery.pictures import Layer
from leaderboard.gallery.scans import read_scan
from leaderboard.gallery.volumes import volume_script


@pytest.mark.parametrize("axes", ["LPS", "SAR"])
def test_volume_has_its_place_in_the_body(make_dataset, tmp_path: Path, axes: str) -> None:
    """The cut volume carries the affine of its place: the lesion's centre is where it was, in millimetres."""
    dataset = make_dataset(tmp_path, [axes])
    scan = read_scan(dataset.split("test")[0])
    points = scan.truth(())[0]
    script = volume_script(scan, [Layer("Reference", points)], "k")
    document = json.loads(script[len(b"window.groundbenchVolume(") : -len(b");\n")])
    assert document["key"] == "k"
    ct, mask = (
        nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(volume["data"]))) for volume in document["volumes"]
    )
    assert ct.shape == mask.shape
    centre = mask.affine @ [*np.argwhere(mask.get_fdata() > 0).mean(axis=0), 1]
    assert centre[:3] == pytest.approx((-33 * 3, -14 * 4, 16.5 * 5))  # RAS+: left and posterior are negative
