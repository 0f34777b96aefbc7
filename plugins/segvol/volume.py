"""From a CT to SegVol's input and back: the published preprocessing as index arithmetic, so that it can be undone.

The order is upstream's (``process_ct_gt``): normalise by the bright voxels, axes to (D, H, W), scale to [0, 1], pad to
the input size, crop to what is above 0, take the nearest sample on the input grid. All but the normalisation only
picks voxels; so one index array an axis holds it all, and labels, boxes and logits take the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from groundbench_sdk.area import resize_by_area
from numpy.typing import NDArray

Shape = tuple[int, int, int]


def normalise(ct: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip to the bright voxels' percentiles, standardise by their mean and deviation, and scale to [0, 1].

    Parameters
    ----------
    ct
        Hounsfield units, any shape.

    Returns
    -------
    ndarray
        Same shape, from 0 (all that is dark) to 1.

    Raises
    ------
    ValueError
        When the bright voxels are all alike: nothing is left to segment, and upstream crashes.
    """
    bright = ct[ct > ct.mean()]
    if bright.size == 0:
        raise ValueError("the CT is constant: SegVol normalises by the voxels above the mean, and there are none")
    low, high = np.percentile(bright, (0.05, 99.95))
    centre, deviation = bright.mean(), max(float(bright.std()), 1e-8)
    scaled = np.clip(ct, low, high)  # in the precision of the percentiles; from here on in place
    scaled -= centre
    scaled /= deviation
    scaled -= scaled.min()
    top = float(scaled.max())
    if top <= 0:
        raise ValueError("the CT's bright voxels are all alike: nothing is left of it after SegVol's normalisation")
    scaled /= max(top, 1e-8)
    return np.asarray(scaled, dtype=np.float32)


def nearest_exact(size: int, samples: int) -> NDArray[np.intp]:
    """Return which of `size` voxels lies at the centre of each of `samples`, in torch's float32."""
    scale = np.float32(size) / np.float32(samples)
    centres = (np.arange(samples, dtype=np.float32) + np.float32(0.5)) * scale
    return np.minimum(np.floor(centres).astype(np.intp), size - 1)


@dataclass(frozen=True)
class Grid:
    """Where the samples of SegVol's input lie in the CT.

    Attributes
    ----------
    shape
        (D, H, W) of the CT in canonical orientation.
    starts, stops
        Box of the CT that the input covers, along (D, H, W), ends excluded.
    size
        (D, H, W) of the input.
    """

    shape: Shape
    starts: Shape
    stops: Shape
    size: Shape

    def samples(self, axis: int) -> NDArray[np.intp]:
        """Return the CT's index of each sample along `axis`."""
        start, stop = self.starts[axis], self.stops[axis]
        return np.asarray(start + nearest_exact(stop - start, self.size[axis]), dtype=np.intp)

    def sample(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Take the nearest samples of a (D, H, W) volume on the CT's grid."""
        return volume[np.ix_(*(self.samples(axis) for axis in range(3)))]

    def average(self, volume: NDArray[Any]) -> NDArray[np.float32]:
        """Resize a (D, H, W) volume by area; a mask becomes the share of each sample that it fills."""
        inner = tuple(slice(start, stop) for start, stop in zip(self.starts, self.stops, strict=True))
        return np.asarray(resize_by_area(volume[inner], self.size), dtype=np.float32)

    def mark(self, label: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Sample a label (D, H, W); one that falls between all samples marks those nearest to its voxels instead.

        A nodule that sampling loses would otherwise be taught as absent.
        """
        sampled = self.sample(label)
        if sampled.any() or not label.any():
            return sampled
        marks = []
        for axis, voxels in enumerate(np.nonzero(label)):
            samples = self.samples(axis)
            marks.append(np.abs(samples[None, :] - voxels[:, None]).argmin(axis=1))
        sampled[tuple(marks)] = True
        return sampled

    def restore(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Spread a mask on the input grid over the CT's grid, (D, H, W); outside of the box nothing is found.

        Each voxel takes the sample that its centre lies in. Upstream's ``nearest`` goes by the voxel's corner, which
        moves a mask by a slice where the CT has fewer slices than the input.
        """
        whole = np.zeros(self.shape, dtype=bool)
        inner = tuple(slice(start, stop) for start, stop in zip(self.starts, self.stops, strict=True))
        picks = [nearest_exact(self.size[axis], self.stops[axis] - self.starts[axis]) for axis in range(3)]
        whole[inner] = mask[np.ix_(*picks)]
        return whole

    def box(self, box: Sequence[int]) -> list[int]:
        """Put a box of the CT on the input grid.

        Parameters
        ----------
        box
            First voxel along (D, H, W) of the CT, and the ones after the last.

        Returns
        -------
        list of int
            First and last sample inside, (d0, h0, w0, d1, h1, w1), ends included as SegVol wants them. A box that lies
            between two samples gets the nearest one.
        """
        first, last = [], []
        for axis in range(3):
            samples = self.samples(axis)
            inside = np.flatnonzero((samples >= box[axis]) & (samples < box[axis + 3]))
            if inside.size == 0:
                inside = np.array([np.abs(samples - (box[axis] + box[axis + 3] - 1) / 2).argmin()])
            first.append(int(inside[0]))
            last.append(int(inside[-1]))
        return first + last


def lay_grid(image: NDArray[np.float32], size: Shape) -> Grid:
    """Lay SegVol's input grid over the part of a normalised CT that is above 0.

    Upstream pads a small CT with 0 before it crops to what is above 0, which takes the padding off again: a small part
    is enlarged, never padded.

    Parameters
    ----------
    image
        (D, H, W), from :func:`normalise`.
    size
        (D, H, W) of the network's input.
    """
    depth, height, width = image.shape
    bounds = []
    for axis in range(3):
        inside = np.flatnonzero(image.max(axis=tuple(other for other in range(3) if other != axis)) > 0)
        bounds.append((int(inside[0]), int(inside[-1]) + 1))
    (d0, d1), (h0, h1), (w0, w1) = bounds
    return Grid((depth, height, width), (d0, h0, w0), (d1, h1, w1), size)
