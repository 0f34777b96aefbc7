"""A mask of one voxel for every finding, which depends on the case."""

import time

import numpy as np
from groundbench_sdk import Adapter


class Steady(Adapter):
    """Takes as long for a case as its parameter says."""

    def load(self, job):
        """Read how long a case takes."""
        self.seconds = job.params["seconds"]

    def predict(self, case):
        """Yield a one-voxel mask for every finding."""
        time.sleep(self.seconds)
        for finding in case.findings:
            mask = np.zeros(case.shape, bool)
            i, j = case.volume()[0, 0, :2].tolist()
            mask[i % case.shape[0], j % case.shape[1], len(finding.text) % case.shape[2]] = True
            yield finding.id, mask
