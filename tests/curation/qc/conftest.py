"""A drawn chest with lobes that the tests of the quality check share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from curation.qc.checks import Drawn
from harness.dataset import Case
from harness.dataset.nifti import write_volume

SHAPE = (80, 70, 60)


SPACING = (3.0, 3.0, 4.0)


AFFINE = np.array([[-3.0, 0, 0, 120], [0, -3.0, 0, 105], [0, 0, 4.0, -120], [0, 0, 0, 1]])


def chest() -> npt.NDArray[np.int16]:
    """Return a body with two lungs in air; index 0 along x is the patient's right."""
    values = np.full(SHAPE, -1000, np.int16)
    values[8:72, 8:62, :] = 40
    values[14:36, 16:54, 6:54] = -850
    values[44:66, 16:54, 6:54] = -850
    return values


def lobes() -> npt.NDArray[np.uint8]:
    """Return lobes: lower, (middle,) upper from the bottom."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[14:36, 16:54, 6:24], labels[14:36, 16:54, 24:34], labels[14:36, 16:54, 34:54] = 3, 2, 1
    labels[44:66, 16:54, 6:30], labels[44:66, 16:54, 30:54] = 5, 4
    return labels


def box(x: int, y: int, z: int, size: int = 4, entity: int = 1) -> Drawn:
    """Return a cube of voxels."""
    voxels = np.argwhere(np.ones((size,) * 3)) + np.array((x, y, z))
    return Drawn(voxels, np.full(len(voxels), entity))


def both(*drawn: Drawn) -> Drawn:
    """Return several entities as one finding."""
    entities = [np.full(len(part.voxels), n) for n, part in enumerate(drawn, start=1)]
    return Drawn(np.concatenate([part.voxels for part in drawn]), np.concatenate(entities))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The chest on disk."""
    folder = tmp_path_factory.mktemp("qc")
    path = folder / "x_1_a_1.nii.gz"
    write_volume(path, np.int16, SHAPE, AFFINE, np.moveaxis(chest(), 2, 0))
    write_volume(folder / "anatomy.nii.gz", np.uint8, SHAPE, AFFINE, np.moveaxis(lobes(), 2, 0))
    return Case("x_1_a_1", "test", (), ct=path)


RIGHT, LEFT = (20, 30, 40), (50, 30, 40)
