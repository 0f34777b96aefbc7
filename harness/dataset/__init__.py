"""The ReXGroundingCT layout: read, validate, describe, fingerprint (``docs/data.md``)."""

from __future__ import annotations

from harness.dataset.cases import Case, Dataset, Finding, RunnableCase, ScannedCase
from harness.dataset.layout import find_dataset, open_dataset
from harness.dataset.problems import DataProblem, Level

__all__ = [
    "Case",
    "DataProblem",
    "Dataset",
    "Finding",
    "Level",
    "RunnableCase",
    "ScannedCase",
    "find_dataset",
    "open_dataset",
]
