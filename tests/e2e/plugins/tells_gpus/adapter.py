"""Empty masks; what matters is what is printed."""

import json
import os

import numpy as np
from groundbench_sdk import Adapter


class Tells(Adapter):
    """Prints the GPUs that it was given."""

    def load(self, job):
        """Print devices and variables, in one line."""
        seen = {k: v for k, v in os.environ.items() if k.startswith("NVIDIA")}
        print("SEEN", json.dumps({"devices": job.devices, **seen}), flush=True)  # noqa: T201 - read from the log

    def predict(self, case):
        """Yield an empty mask for every finding."""
        for finding in case.findings:
            yield finding.id, np.zeros(case.shape, bool)
