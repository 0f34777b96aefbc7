"""The files of a case."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.dataset.nifti import write_volume
from harness.phantom.case import PhantomCase


def write_case(case: PhantomCase, root: Path) -> None:
    """Write the CT, the masks and the anatomy of a case into ``ct/``, ``seg/`` and ``anatomy/`` under `root`."""
    name = case.plan.name
    shape, affine = case.grid.shape, case.grid.affine
    write_volume(root / "ct" / name, np.int16, shape, affine, _slices(case.ct))
    write_volume(root / "anatomy" / name, np.uint8, shape, affine, _slices(case.anatomy))
    write_volume(root / "seg" / name, np.uint8, (len(case.texts), *shape), np.eye(4), _masks(case))


def write_json(path: Path, document: object) -> None:
    """Write a JSON document with sorted keys and a final newline."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _slices(volume: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (volume[:, :, index] for index in range(volume.shape[2]))


def _masks(case: PhantomCase) -> Iterator[npt.NDArray[np.uint8]]:
    """Return the entity labels (F, H, W) of one slice after another: the file is written without ever holding it."""
    numbers = np.arange(1, len(case.texts) + 1, dtype=np.uint8)[:, None, None]
    for index in range(case.grid.shape[2]):
        yield np.where(case.finding[None, :, :, index] == numbers, case.entity[None, :, :, index], np.uint8(0))
