"""Small cases on disk: a ground truth, predictions, and the task that scores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from harness.dataset import Finding
from harness.scoring.case import CaseTask

AFFINE = np.diag([-0.75, -0.75, 1.5, 1.0])


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write an array as NIfTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


MakeTask = Callable[..., CaseTask]


@pytest.fixture
def make_task(tmp_path: Path) -> MakeTask:
    """Return a function that writes a ground truth and predictions and returns the task to score them."""

    def make(
        truth: np.ndarray,
        predictions: Sequence[np.ndarray | None] | np.ndarray,
        *,
        spacing: tuple[float, float, float] | None = (0.75, 0.75, 1.5),
        categories: Sequence[str | None] | None = None,
        texts: Sequence[str] | None = None,
        stacked: bool = False,
    ) -> CaseTask:
        save(tmp_path / "truth.nii.gz", truth.astype(np.uint8), np.eye(4))
        stack = None
        files: dict[str, Path] = {}
        if stacked:
            stack = save(tmp_path / "stack.nii.gz", np.asarray(predictions).astype(np.uint8), np.eye(4))
        else:
            for i, array in enumerate(predictions):
                if array is not None:
                    files[str(i)] = save(tmp_path / "case" / f"{i}.nii.gz", array.astype(np.uint8))
        return CaseTask(
            case="case",
            truth=tmp_path / "truth.nii.gz",
            shape=truth.shape[1:],
            spacing=spacing,
            affine=tuple(map(tuple, AFFINE.tolist())),
            findings=tuple(
                Finding(i, str(i), f"text {i}" if texts is None else texts[i], (categories or ["2d"] * len(truth))[i])
                for i in range(len(truth))
            ),
            masks=files,
            stack=stack,
            root=tmp_path,
        )

    return make
