"""The SDK for adapters inside their images: jobs, cases and masks as files, contract version 1.

An adapter is a class with ``load`` and ``predict``::

    from groundbench_sdk import Adapter

    class Mine(Adapter):
        def load(self, job):
            self.net = read_weights(job.weights)

        def predict(self, case):
            ct = case.volume()                          # (H, W, D), Hounsfield units
            for finding in case.findings:
                yield finding.id, self.net(ct, finding.text) > 0.5

The image's entry point runs it: ``python -m groundbench_sdk my_module:Mine``. The SDK needs only the standard library,
numpy, nibabel and Python 3.8; torch networks that are prompted with text have a base in
:mod:`groundbench_sdk.text_models`.
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
