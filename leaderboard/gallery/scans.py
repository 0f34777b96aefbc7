"""One case as it is shown: the CT and its masks, turned so that every case looks the same whichever way it was stored.

Everything here lies on axes that run to the patient's Left, Posterior and Superior. An axial slice then has the
patient's right side on the left and the front on top, as radiologists look at it.
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
from harness.errors import DataError
from harness.masks import Refused, file_limit, open_volume, read_bits
from leaderboard.gallery.delivered import Mask

AXES = ("L", "P", "S")

Floats = NDArray[np.float32]
Points = NDArray[np.int64]


@dataclass(frozen=True)
class Scan:
    """The CT of a case.

    Attributes
    ----------
    case
        The case; it has a CT.
    stored
        Voxels as stored, (H, W, D).
    slope, inter
        HU are ``stored * slope + inter``.
    """

    case: Case
    stored: NDArray[Any]
    slope: float
    inter: float

    @cached_property
    def _turn(self) -> NDArray[Any]:
        """Return, for every stored axis, the axis of :data:`AXES` that it becomes, and 1 or -1 (reversed)."""
        affine = np.array(self.case.affine)
        stored = orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
        wanted = orientations.axcodes2ornt(AXES)  # type: ignore[no-untyped-call]
        turn: NDArray[Any] = orientations.ornt_transform(stored, wanted)  # type: ignore[no-untyped-call]
        return turn

    @cached_property
    def voxels(self) -> NDArray[Any]:
        """The CT turned to :data:`AXES`, stored values; a view."""
        turned: NDArray[Any] = orientations.apply_orientation(self.stored, self._turn)  # type: ignore[no-untyped-call]
        return turned

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along :data:`AXES`."""
        x, y, z = self.voxels.shape
        return x, y, z

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along :data:`AXES`."""
        sizes = self.case.spacing
        assert sizes is not None  # noqa: S101 - a case with a CT has a spacing
        turned = [0.0, 0.0, 0.0]
        for size, (axis, _) in zip(sizes, self._turn, strict=True):
            turned[int(axis)] = size
        return turned[0], turned[1], turned[2]

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """4x4 affine of :attr:`voxels`, index -> mm (RAS+)."""
        back = orientations.inv_ornt_aff(self._turn, self.stored.shape)  # type: ignore[no-untyped-call]
        turned: NDArray[np.float64] = np.array(self.case.affine) @ back
        return turned

    def height(self, z: int) -> float:
        """Return the position of a slice of :attr:`voxels` along the body, in mm (RAS+)."""
        x, y, _ = self.shape
        return float((self.affine @ [x / 2, y / 2, z, 1])[2])

    def hu(self, part: NDArray[Any]) -> Floats:
        """Turn stored values into HU."""
        return part.astype(np.float32) * np.float32(self.slope) + np.float32(self.inter)

    def turned(self, x: Points, y: Points, z: Points) -> Points:
        """Turn stored indices into indices of :attr:`voxels`, (n, 3)."""
        points = np.empty((len(x), 3), np.int64)
        for stored, size, (axis, sign) in zip((x, y, z), self.stored.shape, self._turn, strict=True):
            points[:, int(axis)] = stored if sign > 0 else size - 1 - stored
        return points

    def truth(self, flip: Iterable[int]) -> dict[int, Points]:
        """Return the voxels (n, 3) of every finding's reference mask, by its channel.

        Parameters
        ----------
        flip
            In-plane axes along which the masks lie reversed (:attr:`harness.dataset.Dataset.mask_flip`).
        """
        assert self.case.truth is not None  # noqa: S101 - cases without ground truth are never scored
        h, w, _ = self.stored.shape
        found: dict[int, list[Points]] = {finding.index: [] for finding in self.case.findings}
        for part in labelled(self.case.truth, max(found) + 1 if found else 1):
            rest, x = np.divmod(part.voxel, h)
            z, y = np.divmod(rest, w)
            points = self.turned(h - 1 - x if 0 in flip else x, w - 1 - y if 1 in flip else y, z)
            for channel in np.unique(part.channel):
                found[int(channel)].append(points[part.channel == channel])
        return {channel: np.concatenate(parts) if parts else _nothing() for channel, parts in found.items()}

    def prediction(self, mask: Mask) -> Points | None:
        """Return the voxels (n, 3) of a mask that a model made, on the grid of the CT.

        None where the file cannot be read as a mask, or is not the one that was scored.
        """
        h, w, d = (int(n) for n in self.stored.shape)
        try:
            with open_volume(mask.path, limit=file_limit(h * w * d), root=mask.root) as volume:
                [bits], _ = read_bits(volume, (h, w, d), 1, [0], labelled=False)
                same = volume.sha256() == mask.sha256
        except (Refused, OSError):
            return None
        return self.turned(*bits.coordinates()) if same else None


def read_scan(case: Case) -> Scan:
    """Read the CT of a case whole; raises DataError where there is none or it cannot be read."""
    header = case.header
    if case.ct is None or header is None:
        raise DataError(f"case {case.id} lacks a CT", fix="give the data set with its CTs, or --cases none")
    parts = [part.copy() for part in stretches(case.ct)]
    stored = np.concatenate(parts).reshape(case.shape, order="F")
    return Scan(case, stored, header.slope, header.inter)


def _nothing() -> Points:
    return np.empty((0, 3), np.int64)
