"""Waits, and answers with an empty mask."""

import time

import numpy as np
from groundbench_sdk import Adapter


class Steady(Adapter):
    """Takes ``params["seconds"]`` a case."""

    def load(self, job):
        """Remember how long."""
        self.seconds = job.params["seconds"]

    def predict(self, case):
        """Yield an empty mask for every finding, after the time."""
        time.sleep(self.seconds)
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
