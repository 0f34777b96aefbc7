"""What an adapter uses inside its image: jobs, cases and masks as files, contract version 1.

An adapter is a class with ``load`` and ``predict``::

    from groundbench_sdk import Adapter

    class Mine(Adapter):
        def load(self, job):
            self.net = read_weights(job.weights)

        def predict(self, case):
            ct = case.volume()                          # (H, W, D), Hounsfield units
            for finding in case.findings:
                yield finding.id, self.net(ct, finding.text) > 0.5

The image's entry point runs it: ``python -m groundbench_sdk my_module:Mine``. Only the standard library, numpy and
nibabel are used, and Python 3.8 is enough.
"""

from groundbench_sdk.adapter import Adapter
from groundbench_sdk.finetuning import Training, TrainingFailed
from groundbench_sdk.records import Case, Finding, Job, Rejected, TrainingCase
from groundbench_sdk.runtime import VERSION, main

__all__ = [
    "VERSION",
    "Adapter",
    "Case",
    "Finding",
    "Job",
    "Rejected",
    "Training",
    "TrainingCase",
    "TrainingFailed",
    "main",
]
