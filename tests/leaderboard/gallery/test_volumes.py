"""Volumes for the viewer lie where they are in the body."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from leaderboard.gallery.parts import model_layer, reference_layer
from leaderboard.gallery.scans import read_scan
from leaderboard.gallery.volumes import volume_script


@pytest.mark.parametrize("axes", ["LPS", "SAR"])
def test_volume_has_its_place_in_the_body(make_dataset, tmp_path: Path, axes: str) -> None:
    """The cut volume carries the affine of its place: the lesion's centre is where it was, in millimetres."""
    dataset = make_dataset(tmp_path, [axes])
    scan = read_scan(dataset.split("test")[0])
    script = volume_script(scan, [reference_layer(scan.truth(())[0], scan)], "k")
    document = json.loads(script[len(b"window.groundbenchVolume(") : -len(b");\n")])
    assert document["key"] == "k"
    ct, mask = (
        nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(volume["data"]))) for volume in document["volumes"]
    )
    assert ct.shape == mask.shape
    centre = mask.affine @ [*np.argwhere(mask.get_fdata() > 0).mean(axis=0), 1]
    assert centre[:3] == pytest.approx((-33 * 3, -14 * 4, 16.5 * 5))  # RAS+: left and posterior are negative


def test_volume_holds_every_mask(make_dataset, tmp_path: Path) -> None:
    """The box holds what a model marked far from the reference as well, and HU of every tissue."""
    scan = read_scan(make_dataset(tmp_path, ["LPS"]).split("test")[0])
    truth = scan.truth(())[0]
    far = np.array([[2, 3, 0], [45, 37, 23]], np.int16)
    script = volume_script(scan, [reference_layer(truth, scan), model_layer("m", "M", far, scan)], "k")
    document = json.loads(script[len(b"window.groundbenchVolume(") : -len(b");\n")])
    ct, _, mask = (
        nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(volume["data"]))) for volume in document["volumes"]
    )
    assert (mask.get_fdata() > 0).sum() == 2
    assert ct.get_fdata().min() < -900
    assert abs(ct.get_fdata() - 40).min() < 5
