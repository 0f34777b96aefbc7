"""The side of an active contour (Chan and Vese) that the middle of the box lies on."""

import numpy as np
from groundbench_sdk import Adapter
from skimage.segmentation import morphological_chan_vese


class ChanVese(Adapter):
    """Reads nothing of the text."""

    def load(self, job):
        """Keep the number of steps."""
        self.steps = job.params["steps"]

    def predict(self, case):
        """Yield the union over the boxes of each finding."""
        ct = np.clip(case.volume(), -1000, 400)
        for finding in case.findings:
            mask = np.zeros(case.shape, dtype=bool)
            for x0, y0, z0, x1, y1, z1 in finding.boxes:
                inside = ct[x0:x1, y0:y1, z0:z1]
                if min(inside.shape) < 2:  # there is no gradient along an axis of one voxel
                    mask[x0:x1, y0:y1, z0:z1] = True
                    continue
                side = morphological_chan_vese(inside, self.steps, "checkerboard").astype(bool)
                middle = tuple(length // 2 for length in side.shape)
                mask[x0:x1, y0:y1, z0:z1] |= side == side[middle]
            yield finding.id, mask
