"""Fills boxes; fails where it is given any without being prompted with them, or is given masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from groundbench_sdk import Adapter


class Boxed(Adapter):
    """One mask a finding: the union of its boxes."""

    def load(self, job):
        self.box = job.variant == "box"
        self.root = job.weights.parent

    def predict(self, case):
        assert case.truth is None
        assert not {"truth", "seg"} & {path.name for path in Path(self.root).iterdir()}
        for finding in case.findings:
            assert (finding.boxes is not None) == self.box, finding.boxes
            mask = np.zeros(case.shape, bool)
            for x0, y0, z0, x1, y1, z1 in finding.boxes or []:
                mask[x0:x1, y0:y1, z0:z1] = True
            yield finding.id, mask
