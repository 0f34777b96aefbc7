"""Shapes that follow from a box alone; only the SDK and numpy are used, and the CT is never opened."""

from collections.abc import Iterator

import numpy as np
from groundbench_sdk import Adapter, Case, Job


class Control(Adapter):
    """Fills every box of a finding with the shape that ``job.params["shape"]`` names."""

    def load(self, job: Job) -> None:
        """Choose the shape; raises KeyError for an unknown name."""
        self.shape = {"box": box, "ellipsoid": ellipsoid}[job.params["shape"]]

    def predict(self, case: Case) -> Iterator[tuple[str, np.ndarray]]:
        """Yield ``(finding id, mask)``, each mask (H, W, D) of bool: the union over the boxes."""
        for finding in case.findings:
            mask = np.zeros(case.shape, bool)
            for x0, y0, z0, x1, y1, z1 in finding.boxes or []:
                mask[x0:x1, y0:y1, z0:z1] |= self.shape((x1 - x0, y1 - y0, z1 - z0))
            yield finding.id, mask


def box(size: tuple[int, int, int]) -> np.ndarray:
    """Return every voxel of a box of this size."""
    return np.ones(size, bool)


def ellipsoid(size: tuple[int, int, int]) -> np.ndarray:
    """Return the voxels of a box of this size whose centres lie in the ellipsoid that touches its six sides."""
    x, y, z = (((np.arange(length) + 0.5) / length * 2 - 1) ** 2 for length in size)
    return np.asarray(x[:, None, None] + y[:, None] + z <= 1)
