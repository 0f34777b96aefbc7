"""Pictures of findings for review: PNG, right shown on the left."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from curation.qc.picture import data_uri, png, views
from tests.curation.qc.conftest import AFFINE, RIGHT, SHAPE, SPACING, box, chest


def test_pictures_are_png_and_show_right_on_the_left() -> None:
    """The file opens, and the patient's right lung is on the left of the picture, feet below."""
    axial, coronal = views(chest(), box(*RIGHT).voxels, SPACING, AFFINE)
    opened = np.asarray(Image.open(io.BytesIO(png(axial))))
    assert np.array_equal(opened, axial)
    red = (axial[..., 0] == 255) & (axial[..., 2] == 40)
    assert np.argwhere(red)[:, 1].mean() < axial.shape[1] / 2
    assert (np.argwhere((coronal[..., 0] == 255) & (coronal[..., 2] == 40))[:, 0].mean()) < coronal.shape[0] / 2
    assert base64.b64decode(data_uri(axial).partition(",")[2]) == png(axial)
    mirrored = box(*RIGHT).voxels.copy()
    mirrored[:, [0, 2]] = np.array(SHAPE)[[0, 2]] - 1 - mirrored[:, [0, 2]]
    flipped = views(np.flip(chest(), (0, 2)), mirrored, SPACING, AFFINE @ np.diag([-1, 1, -1, 1]))
    assert np.array_equal(flipped[0], axial)
