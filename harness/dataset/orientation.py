"""Measure whether the masks are aligned with the lungs as stored, or only after an in-plane flip.

The released masks carry no orientation of their own, and copies of the data set are known in which CT and mask arrays
lie half a turn apart in plane. Nothing fails then; every score merely drops to chance. So it is measured: the share of
a finding's voxels inside the lungs, as stored and after each in-plane flip, over some cases.

The measure is the share of the findings outside: close to 0 where masks are aligned, a tenth and more
where they are not. Dense findings (consolidation, effusion) are left out: they hide the lung around them, and score
better the more misplaced they are. Lungs are nearly symmetric, so a swap of left and right alone may stay unseen; a
front-back flip does not, and where several flips explain the masks alike, it is the half turn that is proposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset.cases import Case, RunnableCase
from harness.dataset.measured import Measurements
from harness.dataset.voxels import labelled, read_header, slices
from harness.errors import DataError
from harness.masks.header import Header

Flip = tuple[int, ...]

#: The four in-plane orientations of a mask on its CT's array; the second is known from copies in circulation.
FLIPS: Final[tuple[Flip, ...]] = ((), (0, 1), (0,), (1,))

_AIR: Final = -400.0  # HU: below it lung and other air, above it tissue
_IN_PLANE: Final = 128  # voxels of the thinned volume along H and W
_SLICES: Final = 96  # and along D
_SMALLEST: Final = 0.005  # of the volume: a smaller pocket of air is not lung
_WHOLE_CHEST: Final = 0.03  # of the volume: with less lung than this, the scan is a crop
_LARGEST_SIDE: Final = 4096  # voxels of a slice's side
_GAIN: Final = 0.03  # mean share of voxels that a flip must bring inside, and half of all that lie outside
_TIE: Final = 0.02  # shares closer than this are the same
_ENOUGH: Final = 5  # findings
_DENSE: Final = {"2b", "2e", "2h"}  # consolidation, effusion, other: may hold no air


@dataclass(frozen=True)
class Orientation:
    """The measurement over some cases."""

    cases: int  #: scans that show enough lung to measure
    shares: Mapping[Flip, float]  #: flip -> share of a finding's voxels inside the lungs, mean over findings
    findings: int  #: number of findings in these means, without dense ones
    best: Flip | None  #: the flip that the masks need; None: too few findings to decide
    damaged: tuple[DataError, ...] = ()  #: one for each case that could not be read to its end

    def as_dict(self) -> dict[str, Any]:
        """Return the measurement for a JSON document."""
        return {
            "cases": self.cases,
            "findings": self.findings,
            "share_in_lungs": {name_of(flip): share for flip, share in self.shares.items()},
            "mask_flip": None if self.best is None else list(self.best),
        }


def name_of(flip: Flip) -> str:
    """Return a flip in words."""
    if len(flip) == 1:
        return f"axis {flip[0]} reversed"
    return "both in-plane axes reversed" if flip else "as stored"


def measure(
    cases: Iterable[Case], *, limit: int = 8, recorded: Flip = (), measured: Measurements | None = None
) -> Orientation:
    """Measure the orientation of the masks of up to `limit` cases, spread evenly, on their CTs.

    Parameters
    ----------
    cases
        Cases with readable CTs and masks of the same grid; those that lack either are skipped.
    limit
        Maximum number of cases; each costs one pass through its CT and its mask.
    recorded
        The flip that is assumed unless another is clearly better.
    measured
        Caches the shares of earlier cases.
    """
    remembered = measured or Measurements(None)
    usable = sorted((found for found in map(RunnableCase.of, cases) if found), key=lambda case: case.id)
    chosen = [usable[i * len(usable) // limit] for i in range(limit)] if len(usable) > limit else usable
    rows: list[list[float]] = []
    damaged: list[DataError] = []
    seen = 0
    for case in chosen:
        try:
            shares = _remembered_shares(case, remembered)
        except DataError as error:
            damaged.append(error)
            continue
        seen += shares is not None
        rows += shares or []
    if not rows:
        return Orientation(0, {}, 0, None, tuple(damaged))
    table = np.array(rows)
    means = dict(zip(FLIPS, table.mean(axis=0).tolist(), strict=True))
    return Orientation(seen, means, len(table), _decide(table, recorded), tuple(damaged))


def _decide(table: npt.NDArray[np.float64], recorded: Flip) -> Flip | None:
    """Choose a column of `table` (findings, flips): the recorded one, unless another gains much for most findings."""
    if len(table) < _ENOUGH:
        return None
    before = table[:, FLIPS.index(recorded)]
    means = table.mean(axis=0)
    column = int(np.flatnonzero(means >= means.max() - _TIE)[0])
    gains = table[:, column] - before
    outside = 1 - before.mean()
    believed = gains.mean() >= max(_GAIN, outside / 2) and np.sum(gains > _TIE) >= 2 * np.sum(gains < -_TIE)
    return FLIPS[column] if believed else recorded


def shares_of(case: RunnableCase) -> list[list[float]] | None:
    """Return the share of a finding's voxels in the lungs under each of :data:`FLIPS`, for every informative finding.

    None where no finding is: the scan is a crop, or the mask is not on the CT's grid.
    """
    return _remembered_shares(case, Measurements(None))


def _remembered_shares(case: RunnableCase, measured: Measurements) -> list[list[float]] | None:
    found = measured.shares((case.ct, case.truth), partial(_all_shares, case))
    if found is None:
        return None
    return [shares for finding in case.findings if finding.category not in _DENSE and (shares := found[finding.index])]


def _all_shares(case: RunnableCase) -> list[list[float]] | None:
    """Return the shares of every channel of a case's mask; an empty list for a channel without a voxel."""
    ct, seg = read_header(case.ct), read_header(case.truth)
    if len(ct.grid) != 3 or seg.shape[1:] != ct.grid or max(ct.shape[:2]) > _LARGEST_SIDE:
        return None
    steps = _steps(ct.grid)
    lungs = crude_lungs(case.ct, ct)
    if lungs is None:
        return None
    height, width, _ = ct.grid
    inside = np.zeros((seg.shape[0], len(FLIPS)))
    total = np.zeros(seg.shape[0])
    for part in labelled(case.truth, seg.shape[0]):
        rest, x = np.divmod(part.voxel, height)
        z, y = np.divmod(rest, width)
        total += np.bincount(part.channel, minlength=len(total))
        for column, flip in enumerate(FLIPS):
            row = height - 1 - x if 0 in flip else x
            col = width - 1 - y if 1 in flip else y
            hit = lungs[row // steps[0], col // steps[1], z // steps[2]]
            inside[:, column] += np.bincount(part.channel, weights=hit, minlength=len(total))
    return [(inside[channel] / voxels).tolist() if voxels else [] for channel, voxels in enumerate(total)]


def crude_lungs(ct: Path, header: Header) -> npt.NDArray[np.bool_] | None:
    """Return the lungs of a scan on a thinned grid (every n-th voxel), dense parts near them included.

    Air that does not reach the sides of the slices, closed over vessels and consolidations of up to a few voxels.
    None where that is too little of the volume: the scan was cropped, and its lungs reach the sides.
    """
    along_x, along_y, along_z = _steps(header.grid)
    thinned = [
        plane[::along_x, ::along_y] * header.slope + header.inter < _AIR
        for z, plane in enumerate(slices(ct, header.grid))
        if z % along_z == 0
    ]
    air = np.stack(thinned, axis=2)
    from scipy import ndimage  # takes half a second, and most runs look up what was measured before

    pockets, count = ndimage.label(air)
    sizes = np.bincount(pockets.ravel(), minlength=count + 1)
    keep = sizes >= _SMALLEST * air.size
    keep[0] = False
    for side in (pockets[0], pockets[-1], pockets[:, 0], pockets[:, -1]):
        keep[np.unique(side)] = False
    lungs: npt.NDArray[np.bool_] = keep[pockets]
    if lungs.mean() < _WHOLE_CHEST:
        return None
    return np.asarray(ndimage.binary_closing(lungs, iterations=2) | lungs)


def _steps(shape: Sequence[int]) -> tuple[int, int, int]:
    in_plane = -(-max(shape[0], shape[1]) // _IN_PLANE)
    return in_plane, in_plane, -(-shape[2] // _SLICES)
