"""One case as it is shown: the CT and its masks, turned so that every case looks the same whichever way it was stored.

Everything here lies on axes that run to the patient's Left, Posterior and Superior. An axial slice then has the
patient's right side on the left and the front on top, as radiologists look at it. Without a CT nobody knows the sides:
the masks then lie as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from nibabel import orientations
from numpy.typing import NDArray

from harness.dataset import Case
from harness.dataset.voxels import labelled, stretches
from harness.masks import Bits

AXES = ("L", "P", "S")

Floats = NDArray[np.float32]

#: Voxels (n, 3); a grid of NIfTI has less than 2**15 along each axis.
Points = NDArray[np.int16]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Marked:
    """The voxels of one mask and the entity that each belongs to.

    Attributes
    ----------
    points
        (n, 3) on the axes of the scan.
    labels
        (n,) from 1.
    """

    points: Points
    labels: Ints


@dataclass(frozen=True)
class Scan:
    """The grid of a case, and its CT.

    Attributes
    ----------
    case
        The case.
    stored
        Voxels as stored, (H, W, D); None without a CT.
    slope, inter
        HU are ``stored * slope + inter``.
    """

    case: Case
    stored: NDArray[Any] | None
    slope: float = 1.0
    inter: float = 0.0

    @property
    def sided(self) -> bool:
        """Whether it is known which side of the patient is where."""
        return self.case.affine is not None

    @property
    def measured(self) -> bool:
        """Whether the size of a voxel is known."""
        return self.case.spacing is not None

    @cached_property
    def _turn(self) -> NDArray[Any]:
        """Return, for every stored axis, the axis of :data:`AXES` that it becomes, and 1 or -1 (reversed)."""
        wanted = orientations.axcodes2ornt(AXES)  # type: ignore[no-untyped-call]
        stored = wanted
        if self.case.affine is not None:
            stored = orientations.io_orientation(np.array(self.case.affine))  # type: ignore[no-untyped-call]
        turn: NDArray[Any] = orientations.ornt_transform(stored, wanted)  # type: ignore[no-untyped-call]
        return turn

    @cached_property
    def voxels(self) -> NDArray[Any]:
        """The CT turned to :data:`AXES`, stored values; a view."""
        assert self.stored is not None  # noqa: S101 - asked of a scan with a CT only
        turned: NDArray[Any] = orientations.apply_orientation(self.stored, self._turn)  # type: ignore[no-untyped-call]
        return turned

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along :data:`AXES`."""
        x, y, z = self._along(self.case.shape)
        return int(x), int(y), int(z)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along :data:`AXES`; 1 where they are not known."""
        return self._along(self.case.spacing or (1.0, 1.0, 1.0))

    def _along(self, of_stored: tuple[float, float, float]) -> tuple[float, float, float]:
        turned = [0.0, 0.0, 0.0]
        for size, (axis, _) in zip(of_stored, self._turn, strict=True):
            turned[int(axis)] = size
        return turned[0], turned[1], turned[2]

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """4x4 affine of :attr:`voxels`, index -> mm (RAS+)."""
        if self.case.affine is None:
            x, y, z = self.spacing
            return np.diag([-x, -y, z, 1.0])
        back = orientations.inv_ornt_aff(self._turn, self.case.shape)  # type: ignore[no-untyped-call]
        turned: NDArray[np.float64] = np.array(self.case.affine) @ back
        return turned

    def height(self, z: int) -> float:
        """Return the position of a slice of :attr:`voxels` along the body, in mm (RAS+)."""
        x, y, _ = self.shape
        return float((self.affine @ [x / 2, y / 2, z, 1])[2])

    def hu(self, part: NDArray[Any]) -> Floats:
        """Turn stored values into HU."""
        return part.astype(np.float32) * np.float32(self.slope) + np.float32(self.inter)

    def turned(self, x: Ints, y: Ints, z: Ints) -> Points:
        """Turn stored indices into indices of :attr:`voxels`, (n, 3)."""
        points = np.empty((len(x), 3), np.int16)
        for stored, size, (axis, sign) in zip((x, y, z), self.case.shape, self._turn, strict=True):
            points[:, int(axis)] = stored if sign > 0 else size - 1 - stored
        return points

    def _on_ct(self, x: Ints, y: Ints, z: Ints, flip: Iterable[int]) -> Points:
        """Turn indices of a ground truth, which lies reversed along the axes `flip` against the CT."""
        h, w, _ = self.case.shape
        return self.turned(h - 1 - x if 0 in flip else x, w - 1 - y if 1 in flip else y, z)

    def truth(self, flip: Iterable[int]) -> dict[int, Marked]:
        """Return every finding's reference mask with its entities, by its channel.

        Parameters
        ----------
        flip
            In-plane axes along which the masks lie reversed (:attr:`harness.dataset.Dataset.mask_flip`).
        """
        assert self.case.truth is not None  # noqa: S101 - cases without ground truth are never scored
        h, w, _ = self.case.shape
        found: dict[int, list[tuple[Points, Ints]]] = {finding.index: [] for finding in self.case.findings}
        for part in labelled(self.case.truth, max(found) + 1 if found else 1):
            rest, x = np.divmod(part.voxel, h)
            z, y = np.divmod(rest, w)
            points = self._on_ct(x, y, z, flip)
            for channel in np.unique(part.channel):
                of = part.channel == channel
                if int(channel) in found:
                    found[int(channel)].append((points[of], part.label[of].astype(np.int64)))
        nothing = [(np.empty((0, 3), np.int16), np.empty(0, np.int64))]
        return {
            channel: Marked(*(np.concatenate(of) for of in zip(*(parts or nothing), strict=True)))
            for channel, parts in found.items()
        }

    def points(self, mask: Bits, flip: Iterable[int]) -> Points:
        """Return the voxels (n, 3) of a mask that lies on the grid of the ground truth."""
        return self._on_ct(*mask.coordinates(), flip)


def read_scan(case: Case) -> Scan:
    """Read the CT of a case whole; raises DataError where it cannot be read. Without a CT only the grid is known."""
    header = case.header
    if case.ct is None or header is None:
        return Scan(case, None)
    parts = [part.copy() for part in stretches(case.ct)]
    stored = np.concatenate(parts).reshape(case.shape, order="F")
    return Scan(case, stored, header.slope, header.inter)
