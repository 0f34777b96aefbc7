"""Sizes of findings on an isotropic grid, without ever making one (paper, section 5.2 and Figure S1).

In nearest-neighbour resampling every new voxel takes the value of one old voxel, and which one is decided along each
axis alone. So the number of new voxels that an old one becomes is the product of three counts, and the size of a
finding after resampling is a sum of these products over its voxels: exact, in one pass through the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.dataset.cases import Case
from harness.dataset.voxels import labelled
from harness.errors import DataError


@dataclass(frozen=True)
class FindingSize:
    """The size of one finding."""

    case: str
    finding: str
    category: str | None
    voxels: int  #: as stored
    resampled: int  #: voxels after isotropic resampling
    ratio: float  #: of the resampled volume
    millilitres: float


def new_length(count: int, spacing: float, target: float) -> int:
    """Return how many voxels of `target` mm cover `count` voxels of `spacing` mm, at least one."""
    return max(1, round(count * spacing / target))


def repeats(count: int, spacing: float, target: float) -> npt.NDArray[np.int64]:
    """Return how many new voxels each of `count` old ones becomes along one axis.

    New voxel j takes the old one in which its centre lies: floor((j + 0.5) * count / new length).
    """
    length = new_length(count, spacing, target)
    source = ((np.arange(length) + 0.5) * count / length).astype(np.int64)
    return np.bincount(source, minlength=count)


def finding_sizes(case: Case, target: float = 1.0) -> list[FindingSize]:
    """Return the sizes of all findings of a case on a grid of `target` mm.

    Raises
    ------
    DataError
        The mask or the spacing is missing.
    """
    if case.truth is None or case.spacing is None:
        missing = "mask" if case.truth is None else "spacing"
        raise DataError(f"{case.id} has no {missing}", fix="add the CT, or its spacing to spacing.json")
    height, width, _ = case.shape
    along = [repeats(n, mm, target) for n, mm in zip(case.shape, case.spacing, strict=True)]
    total = float(np.prod([axis.sum() for axis in along], dtype=float))
    stored = np.zeros(len(case.findings), np.int64)
    resampled = np.zeros(len(case.findings), np.int64)
    for part in labelled(case.truth, len(case.findings)):
        rest, x = np.divmod(part.voxel, height)
        z, y = np.divmod(rest, width)
        stored += np.bincount(part.channel, minlength=len(stored))
        np.add.at(resampled, part.channel, along[0][x] * along[1][y] * along[2][z])
    volume = float(np.prod(case.spacing)) / 1000
    return [
        FindingSize(
            case.id,
            finding.id,
            finding.category,
            int(stored[finding.index]),
            int(resampled[finding.index]),
            float(resampled[finding.index] / total),
            float(stored[finding.index] * volume),
        )
        for finding in case.findings
    ]
