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
            mask[len(case.id) % case.shape[0], int(case.id.split("_")[1]) % case.shape[1], int(finding.id)] = True
            yield finding.id, mask
