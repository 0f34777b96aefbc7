"""What SAT is trained on, as upstream's ``data/train_dataset.py`` draws it: where a crop is, which texts, augmentation.

The numbers are those of ``data/dataset_config/72.json``, which has one setting for all of its 73 data sets. Nothing of
it mirrors or turns: a side in a text stays the same side in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from groundbench_sdk.area import resize_by_area
from groundbench_sdk.patches import cut
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import erf

#: Share of the crops whose voxel is drawn from one finding; the others' from all findings together.
OF_ONE_FINDING = 0.5
#: Texts without a voxel in the crop, at most so many for each with one.
ABSENT = 0.5

#: Chances and ranges of the augmentation.
ZOOM, ZOOMS = 0.2, (0.7, 1.4)
NOISE, DEVIATION = 0.1, 0.1
SHARPEN, ALPHAS, FIRST_SIGMAS, SECOND_SIGMA = 0.2, (10.0, 30.0), (0.5, 1.0), 0.5
SCALE, FACTOR = 0.15, 0.25
CONTRASTS, GAMMAS = (0.1, 0.3), (0.7, 1.5)

Image = NDArray[np.float32]
Masks = NDArray[Any]


def draw(
    image: Image, masks: Masks, size: Sequence[int], rng: np.random.Generator
) -> tuple[Image, Masks, NDArray[np.intp]]:
    """Draw a crop around a voxel of a finding, and the findings that are asked for in it.

    Parameters
    ----------
    image
        (X, Y, Z).
    masks
        (N, X, Y, Z), 0 or 1.
    size
        Voxels of the crop. A smaller volume begins with it and ends in zeros.
    rng
        Random generator.

    Returns
    -------
    image : ndarray
        The crop.
    masks : ndarray
        Those of the chosen findings in it, (M, *size).
    chosen : ndarray of int
        Numbers of the chosen findings: all whose bounding box meets the crop, then at most half as many of the others.
    """
    starts = _around(_voxel(masks, rng), image.shape, size, rng)
    present = np.array([_meets(mask, starts, size) for mask in masks], dtype=bool)
    absent = rng.permutation(np.flatnonzero(~present))
    if present.any():
        absent = absent[: int(ABSENT * present.sum())]
    chosen = np.concatenate([np.flatnonzero(present), absent]).astype(np.intp)
    return cut(image, starts, size).astype(np.float32), cut(masks[chosen], starts, size), chosen


def _voxel(masks: Masks, rng: np.random.Generator) -> tuple[int, ...] | None:
    held = [number for number, mask in enumerate(masks) if mask.any()]
    if not held:
        return None
    drawn = masks[rng.choice(held)] if rng.random() < OF_ONE_FINDING else masks.any(axis=0)
    return tuple(int(at) for at in np.unravel_index(int(rng.choice(np.flatnonzero(drawn))), drawn.shape))


def _around(
    voxel: tuple[int, ...] | None, shape: Sequence[int], size: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...]:
    """Return where the crop begins: the voxel in its middle, moved back inside the volume; without one anywhere."""
    last = [max(0, length - side) for length, side in zip(shape, size, strict=True)]
    if voxel is None:
        return tuple(int(rng.integers(0, most + 1)) for most in last)
    return tuple(min(max(0, at - side // 2), most) for at, side, most in zip(voxel, size, last, strict=True))


def _meets(mask: Masks, starts: Sequence[int], size: Sequence[int]) -> bool:
    """Return whether the bounding box of a mask meets the crop; touching counts, as upstream compares ends excluded."""
    if not mask.any():
        return False
    for axis, (start, side) in enumerate(zip(starts, size, strict=True)):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if start + side < inside[0] or inside[-1] + 1 < start:
            return False
    return True


def augment(image: Image, masks: Masks, rng: np.random.Generator) -> tuple[Image, Masks]:
    """Vary a crop (X, Y, Z) and its masks (N, X, Y, Z) as upstream's transforms of MONAI do, each with its chance."""
    found: NDArray[Any] = image
    if rng.random() < ZOOM:
        factor = rng.uniform(*ZOOMS)
        found = zoom(found, factor)
        masks = np.stack([zoom(mask, factor, nearest=True) for mask in masks]) if len(masks) else masks
    if rng.random() < NOISE:
        found = found + rng.normal(0.0, rng.uniform(0.0, DEVIATION), found.shape)
    if rng.random() < SHARPEN:
        first = rng.uniform(*FIRST_SIGMAS, size=3)
        found = sharpen(found, first, rng.uniform(SECOND_SIGMA, first), rng.uniform(*ALPHAS))
    if rng.random() < SCALE:
        found = found * (1 + rng.uniform(-FACTOR, FACTOR))
    for chance in CONTRASTS:
        if rng.random() < chance:
            found = contrast(found, rng.uniform(*GAMMAS))
    return np.asarray(found, dtype=np.float32), masks


def zoom(volume: NDArray[Any], factor: float, *, nearest: bool = False) -> NDArray[Any]:
    """Zoom a volume around its middle and keep its size, with the outermost voxels repeated around a smaller one."""
    size = [int(length * factor) for length in volume.shape]
    if nearest:
        picks = [np.arange(side) * length // side for side, length in zip(size, volume.shape, strict=True)]
        zoomed = volume[np.ix_(*picks)]
    else:
        zoomed = resize_by_area(volume, size)
    lacking = [length - side for length, side in zip(volume.shape, size, strict=True)]
    inner = tuple(
        slice(-less // 2, -less // 2 + length) if less < 0 else slice(None)
        for less, length in zip(lacking, volume.shape, strict=True)
    )
    ahead = [max(0, less) // 2 for less in lacking]
    return np.pad(zoomed[inner], [(a, max(0, less) - a) for a, less in zip(ahead, lacking, strict=True)], mode="edge")


def sharpen(
    image: NDArray[Any], first: Sequence[float] | NDArray[Any], second: Sequence[float] | NDArray[Any], alpha: float
) -> NDArray[np.floating[Any]]:
    """Add `alpha` times what a second Gaussian filter takes from a first one's result to that result."""
    blurred = _gaussian(image, first)
    return blurred + alpha * (blurred - _gaussian(blurred, second))


def _gaussian(image: NDArray[Any], sigmas: Sequence[float] | NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Filter with a Gaussian that is integrated over voxels, to four sigmas; beyond the volume is 0."""
    found = np.asarray(image, dtype=np.float32)
    for axis, sigma in enumerate(sigmas):
        tail = int(max(4 * sigma, 0.5) + 0.5)
        edges = np.arange(-tail, tail + 2) - 0.5
        found = correlate1d(found, np.diff(erf(edges / (np.sqrt(2) * sigma))) / 2, axis=axis, mode="constant")
    return found


def contrast(image: NDArray[Any], gamma: float) -> NDArray[np.floating[Any]]:
    """Raise the values, as shares of their range, to `gamma`."""
    low = float(image.min())
    reach = float(image.max()) - low
    return ((image - low) / np.float32(reach + 1e-7)) ** np.float32(gamma) * np.float32(reach) + np.float32(low)
