"""Decides from the histogram of a chest CT whether its voxels are in HU.

The lowest value is not informative: scanners pad the outside with -2000, -3024 or -8192, and a shifted volume
has a lowest value, too. The histogram of a chest has two modes, about 900 HU apart: air and lung, and
soft tissue. Their positions determine the scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.dataset.problems import DataProblem, Level

#: HU that one bin of a histogram spans.
BIN: Final = 16

#: Bins beyond which values are counted in the last one; no CT is stored with more than 16 bits.
_FURTHEST: Final = 70_000 // BIN

_AIR: Final = (-1120, -600)  # HU: air and lung
_TISSUE: Final = (-200, 240)  # HU: fat, muscle, blood
_FEW: Final = 0.02  # of the voxels: less does not count as a mode
_CLEARLY: Final = 0.2  # of the voxels: by so much more must a shifted scale explain
_PAD_GAP: Final = 300  # HU between padding and the first scanned voxel
_NEAR: Final = 100  # HU: calibration, and differences between chests

#: Shifts that are known to happen, the likelier of two near ones first, and why.
_KNOWN: Final = {
    1024: "stored values without their intercept of -1024",
    1000: "stored values without their intercept of -1000",
    -1024: "the intercept of -1024 was added twice",
    -1000: "the intercept of -1000 was added twice",
    8192: "stored values without their intercept of -8192",
    -8192: "the intercept of -8192 was added to values in HU",
    32768: "signed values read as unsigned",
    -32768: "unsigned values read as signed",
}


@dataclass(frozen=True)
class Intensities:
    """The histogram of a volume."""

    voxels: int
    nan: int  #: voxels that are NaN
    infinite: int  #: voxels that are infinite
    bins: Mapping[int, int]  #: bin number (HU // :data:`BIN`) -> finite voxels, ascending; empty ones left out

    def to_json(self) -> list[Any]:
        """Return plain lists, for a file."""
        return [self.voxels, self.nan, self.infinite, list(map(list, self.bins.items()))]

    @classmethod
    def from_json(cls, value: list[Any]) -> Intensities:
        """Read what :meth:`to_json` returned."""
        voxels, nan, infinite, bins = value
        return cls(voxels, nan, infinite, {int(number): int(count) for number, count in bins})


class Histogram:
    """Counts the values of a volume, block by block."""

    def __init__(self, slope: float, inter: float) -> None:
        self._slope, self._inter = slope, inter
        self._counts = np.zeros(2 * _FURTHEST + 1, np.int64)
        self._voxels = self._nan = self._infinite = 0

    def add(self, stored: npt.NDArray[Any]) -> None:
        """Count a block of stored values."""
        self._voxels += stored.size
        values = stored
        if stored.dtype.kind == "f":
            nan = np.isnan(stored)
            self._nan += int(nan.sum())
            infinite = np.isinf(stored)
            self._infinite += int(infinite.sum())
            values = stored[~(nan | infinite)]
        scaled = values.astype(np.float32) * np.float32(self._slope) + np.float32(self._inter)
        number = np.clip(np.floor(scaled / BIN), -_FURTHEST, _FURTHEST).astype(np.int64) + _FURTHEST
        self._counts += np.bincount(number, minlength=len(self._counts))

    def intensities(self) -> Intensities:
        """Return the histogram."""
        used = np.flatnonzero(self._counts)
        bins = dict(zip((used - _FURTHEST).tolist(), self._counts[used].tolist(), strict=True))
        return Intensities(self._voxels, self._nan, self._infinite, bins)


def judge_intensities(found: Intensities, where: str) -> list[DataProblem]:
    """Return the reasons why the voxels of a chest CT are not in HU."""
    problems = []
    for count, name in ((found.nan, "NaN"), (found.infinite, "infinite")):
        if count:
            are = "voxel of the CT is" if count == 1 else f"voxels of the CT ({count / found.voxels:.1%}) are"
            what = f"{count:,} {are} {name}; models cannot process such values"
            fix = "write the outside of the scan as air: numpy.nan_to_num(ct, nan=-1024, posinf=3071, neginf=-1024)"
            problems.append(DataProblem(Level.ERROR, "ct-not-finite", where, what, fix))
    if found.bins:
        problems += _judge_scale(found.bins, where)
    return problems


def _judge_scale(bins: Mapping[int, int], where: str) -> list[DataProblem]:
    fix = "use volumes in HU (of CT-RATE, those in the `*_fixed` folders), not raw or rescaled values"
    low, high = min(bins) * BIN, (max(bins) + 1) * BIN
    if len(bins) == 1:
        what = f"all voxels of the CT lie between {low} and {high}: it does not show a chest"
        return [DataProblem(Level.WARNING, "ct-unusual-hu", where, what, "look at it: this is not a scan")]
    shares = [_Shares(bins)]
    if (unpadded := _without_padding(bins)) is not None:
        shares.append(_Shares(unpadded))
    if any(share.fits(0) for share in shares):
        return []
    for share in shares:
        shift = share.best_shift()
        if shift is not None:
            what = f"air and soft tissue lie about {abs(shift)} HU too {'high' if shift > 0 else 'low'}"
            if shift in _KNOWN:
                what += f": {_KNOWN[shift]}"
            return [DataProblem(Level.ERROR, "ct-not-hu", where, f"the CT is not in HU: {what}", fix)]
    share = shares[-1]
    air, tissue = share.air(0), share.tissue(0)
    what = (
        f"{air:.1%} of the voxels have HU of air and lung ({_AIR[0]} to {_AIR[1]}) and {tissue:.1%} in those of soft "
        f"tissue ({_TISSUE[0]} to {_TISSUE[1]}); all lie between {low} and {high}"
    )
    if air < _FEW / 10:
        return [DataProblem(Level.ERROR, "ct-not-hu", where, f"the CT is not in HU: {what}", fix)]
    fix = f"check the volume: a crop may be correct; otherwise {fix}"
    return [DataProblem(Level.WARNING, "ct-unusual-hu", where, what, fix)]


def _without_padding(bins: Mapping[int, int]) -> Mapping[int, int] | None:
    """Leave out the lowest bin where it stands alone, far from the next; None where it does not."""
    lowest, following = sorted(bins)[:2]
    if (following - lowest) * BIN < _PAD_GAP or len(bins) < 3:
        return None
    return {number: count for number, count in bins.items() if number != lowest}


class _Shares:
    """Shares of the voxels in windows of a histogram."""

    def __init__(self, bins: Mapping[int, int]) -> None:
        self._first = min(bins)
        counts = np.zeros(max(bins) - self._first + 1, np.int64)
        counts[np.array(list(bins)) - self._first] = list(bins.values())
        self._sums = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()

    def _share(self, window: tuple[int, int], shift: int) -> float:
        low, high = ((edge + shift) // BIN - self._first for edge in window)
        last = len(self._sums) - 1
        return float(self._sums[min(max(high, 0), last)] - self._sums[min(max(low, 0), last)])

    def air(self, shift: int) -> float:
        """Return the share of voxels where air and lung lie on a scale shifted by `shift` HU."""
        return self._share(_AIR, shift)

    def tissue(self, shift: int) -> float:
        """Return the share of voxels where soft tissue lies on a scale shifted by `shift` HU."""
        return self._share(_TISSUE, shift)

    def explained(self, shift: int) -> float:
        """Return the share of voxels that a scale explains; 0 where it lacks one of the two modes."""
        air, tissue = self.air(shift), self.tissue(shift)
        return air + tissue if min(air, tissue) >= _FEW else 0.0

    def _every(self) -> list[tuple[int, float]]:
        reach = range(self._first * BIN - _TISSUE[1], (self._first + len(self._sums)) * BIN - _AIR[0], BIN)
        return [(shift, self.explained(shift)) for shift in reach]

    def fits(self, shift: int) -> bool:
        """Return whether a scale shows both modes, and no shifted one is clearly better."""
        here = self.explained(shift)
        return here > 0 and max(share for _, share in self._every()) < here + _CLEARLY

    def best_shift(self) -> int | None:
        """Return the shift that explains most, a known one where it is near; None where none explains enough."""
        found = self._every()
        most = max(share for _, share in found)
        if most < 0.5:
            return None
        best = [shift for shift, share in found if share >= most - _FEW]
        middle = (best[0] + best[-1]) // 2
        return next((known for known in _KNOWN if abs(known - middle) <= _NEAR), middle)
