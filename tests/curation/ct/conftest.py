"""CTs that the tests of intake share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

SHAPE = (7, 6, 5)


RAW = np.random.default_rng(0).integers(0, 3000, SHAPE).astype(np.int16)


def save(path: Path, values: Any = RAW, affine: Any = None) -> Path:
    """Write a raw volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.diag([0.7, 0.8, 1.5, 1]) if affine is None else affine), path)
    return path
