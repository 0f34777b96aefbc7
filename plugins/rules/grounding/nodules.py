"""Nodules, masses, cysts and micronodules: blobs of a stated or usual size, found by scale, grown to half contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .filters import blobness, log_response, share_nearby
from .grid import Array, Bools, Floats, closed, dilated, opened
from .scene import Window
from .text import Query

#: Diameters in mm where the text states none (Fleischner: a nodule is at most 30 mm, a mass is larger).
NODULE_MM = (4.0, 20.0)
MASS_MM = (30.0, 90.0)
#: How many are taken for a plural without a number.
USUAL_COUNT = 6
#: HU. Blurred calcium in a small nodule; vessels without contrast medium stay well below.
CALCIUM_HU = 130.0
#: HU. The least contrast of a blob to the lung that counts.
SOLID_CONTRAST = 130.0
FAINT_CONTRAST = 50.0


@dataclass(frozen=True)
class Blob:
    """A candidate: where, how large (mm), and how good."""

    centre: tuple[int, int, int]
    diameter_mm: float
    score: float


def nodules(window: Window, query: Query) -> Bools:
    """Segment nodules or masses of the size, number and density that the text states."""
    smallest, largest = _diameters(query)
    background = window.anatomy.parenchyma_hu[0]
    calcified = "calcified" in query.modifiers and "partly calcified" not in query.modifiers
    volume = np.clip(window.ct.hu, -1000, 900 if calcified else 200)
    domain = window.lungs
    if largest > 25.0:
        coarse = window.anatomy
        domain = window.fine(closed(coarse.lungs, min(largest / 2, 45.0), coarse.grid.spacing) & coarse.body) | domain
    volume = np.where(domain, volume, np.float32(background))
    affinity = window.affinity(query) if largest <= 25.0 else _around(window, query, largest).astype(np.float32)
    least = FAINT_CONTRAST if "ground glass" in query.modifiers else SOLID_CONTRAST
    blobs = find_blobs(window, volume, affinity * domain, (smallest, largest), least=least)
    return _grow_best(window, query, volume, blobs, background)


def cysts(window: Window, query: Query) -> Bools:
    """Segment air-filled holes with a wall: the same search on the inverted lung; a cavity is filled into its wall."""
    if "cavitary" in query.modifiers:
        solid = nodules(window, query)
        filled: Bools = ndimage.binary_fill_holes(closed(solid, 2.0, window.ct.spacing))
        return filled
    smallest, largest = (4.0, 40.0) if not query.sizes_mm else _diameters(query)
    background = window.anatomy.parenchyma_hu[0]
    inverted = -np.clip(window.ct.hu, -1010, background + 100)
    domain = window.lungs & ~window.airway
    volume = np.where(domain, inverted, np.float32(-background)).astype(np.float32)
    blobs = find_blobs(window, volume, window.affinity(query) * domain, (smallest, largest), least=40.0)
    return _grow_best(window, query, volume, blobs, -background)


def micronodules(window: Window, query: Query) -> Bools:
    """Segment crowds of nodules of a few millimetres: small blobs that have others close by."""
    background = window.anatomy.parenchyma_hu[0]
    region = window.region(query) & window.inner_lungs(3.0) & ~window.airway
    volume = np.where(window.lungs, np.clip(window.ct.hu, -1000, 200), np.float32(background)).astype(np.float32)
    blobs = find_blobs(window, volume, region.astype(np.float32), (2.5, 6.0), least=60.0, most=600)
    seeds = np.zeros(region.shape, dtype=bool)
    for blob in blobs:
        seeds[blob.centre] = True
    crowd = share_nearby(seeds, 12.0, window.ct)
    if seeds.any():
        crowded = crowd >= np.quantile(crowd[seeds], 0.4)
        seeds &= crowded
    grown: Bools = dilated(seeds, 3.0, window.ct.spacing) & (window.smooth(0.6) > background + 120.0) & region
    return grown | seeds


def find_blobs(
    window: Window, volume: Floats, affinity: Floats, diameters: tuple[float, float], *, least: float, most: int = 150
) -> list[Blob]:
    """Find bright blobs.

    Parameters
    ----------
    window
        For the working grid.
    volume
        (X, Y, Z), HU on the working grid, everything outside the lungs flattened.
    affinity
        Weight of a centre, 0 where none may lie.
    diameters
        Smallest and largest diameter, mm.
    least
        Least response, HU.
    most
        Number of candidates that are examined closely.

    Returns
    -------
    list of Blob
        Best first.
    """
    best = np.full(volume.shape, -np.inf, dtype=np.float32)
    size = np.zeros(volume.shape, dtype=np.float32)
    sigmas: dict[float, float] = {}
    for diameter in _scales(*diameters):
        sigma = max(diameter / (2 * np.sqrt(3.0)), 0.4 * max(window.ct.spacing))
        response = _response(window, volume, sigma)
        better = response > best
        best[better] = response[better]
        size[better] = diameter
        sigmas[diameter] = sigma
    peaks = (best == ndimage.maximum_filter(best, size=3)) & (affinity > 0) & (best >= least)
    points = np.nonzero(peaks)
    order = np.argsort(-best[points] * affinity[points], kind="stable")[:most]
    found = []
    for diameter, sigma in sigmas.items():
        chosen = [i for i in order if size[points[0][i], points[1][i], points[2][i]] == diameter]
        if not chosen:
            continue
        at = tuple(axis[chosen] for axis in points)
        smooth = ndimage.gaussian_filter(volume, window.ct.voxels(max(sigma, 0.8)), truncate=2.5)
        round_ = blobness(smooth, at, window.ct.spacing)
        for x, y, z, roundness in zip(*at, round_, strict=True):
            score = float(best[x, y, z]) * float(roundness) * float(affinity[x, y, z])
            if roundness > 0.15:
                found.append(Blob((int(x), int(y), int(z)), diameter, score))
    return sorted(found, key=lambda blob: (-blob.score, blob.centre))


def _response(window: Window, volume: Floats, sigma: float) -> Floats:
    """Return the blob filter's response, on a reduced grid where the scale allows."""
    factor = max(1, int(sigma / (2.0 * max(window.ct.spacing))))
    if factor == 1:
        return log_response(volume, sigma, window.ct)
    factors = (factor, factor, factor)
    grid = type(window.ct)(volume, window.ct.spacing).reduced(factors)
    reduced = log_response(np.asarray(grid.hu, dtype=np.float32), sigma, grid)
    index = np.ix_(
        *(np.minimum(np.arange(n) // factor, m - 1) for n, m in zip(volume.shape, reduced.shape, strict=True))
    )
    response: Floats = reduced[index]
    return response


def _scales(smallest: float, largest: float) -> list[float]:
    count = max(1, int(np.ceil(np.log(largest / smallest) / np.log(1.45))) + 1)
    return [float(d) for d in np.geomspace(smallest, largest, count)]


def _diameters(query: Query) -> tuple[float, float]:
    if query.sizes_mm:
        return max(2.0, 0.7 * min(query.sizes_mm)), max(2.5, 1.0 * max(query.sizes_mm))
    if query.largest_mm is not None:
        return min(3.0, 0.7 * query.largest_mm), max(3.0, 0.9 * query.largest_mm)
    if query.smallest_mm is not None:
        return max(2.0, 0.7 * query.smallest_mm), max(6.0, 3.0 * query.smallest_mm)
    return MASS_MM if "mass" in query.modifiers else NODULE_MM


def _around(window: Window, query: Query, largest: float) -> Bools:
    """Return the region of a mass: it pushes the lung aside, so its centre may lie outside of what still holds air."""
    region = window.regions.of(query.places, query.settings)
    return window.fine(dilated(region, min(0.6 * largest, 50.0), window.anatomy.grid.spacing))


def _grow_best(window: Window, query: Query, volume: Floats, blobs: list[Blob], background: float) -> Bools:
    """Grow candidates and keep those that fit the text best, as many as it says."""
    result = np.zeros(volume.shape, dtype=bool)
    wanted = query.count or (USUAL_COUNT if query.plural else 1)
    grown = []
    for blob in blobs[: max(25, 4 * wanted)]:
        box, mask, core = _grow(window, query, volume, blob, background)
        if mask.any():
            fit = _size_fit(query, mask.sum() * window.ct.voxel_ml * 1000.0)
            grown.append((blob.score * fit * _density_fit(query, core), blob.centre, box, mask))
    grown.sort(key=lambda entry: (-entry[0], entry[1]))
    taken = 0
    for score, _centre, box, mask in grown:
        if taken == wanted or (query.count is None and score < 0.35 * grown[0][0]):
            break
        if (result[box] & mask).any():
            continue
        result[box] |= mask
        taken += 1
    return result


def _grow(
    window: Window, query: Query, volume: Floats, blob: Blob, background: float
) -> tuple[tuple[slice, ...], Bools, float]:
    """Grow one candidate to half contrast inside a ball, and cut vessels off that leave it."""
    stated = max(query.sizes_mm, default=0.0)
    reach_mm = max(0.62 * stated, 0.75 * blob.diameter_mm, 2.0)
    reach = [max(1, int(np.ceil(r))) for r in window.ct.voxels(reach_mm)]
    box = tuple(slice(max(0, c - r), c + r + 1) for c, r in zip(blob.centre, reach, strict=True))
    near = volume[box]
    local = tuple(c - b.start for c, b in zip(blob.centre, box, strict=True))
    axes = np.ogrid[tuple(slice(0, n) for n in near.shape)]
    distance = np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in zip(axes, local, window.ct.spacing, strict=True)))
    core = float(np.percentile(near[distance <= max(0.3 * blob.diameter_mm, 1.1 * max(window.ct.spacing))], 75))
    sub_solid = {"part-solid", "ground glass"} & query.modifiers
    threshold = background + (0.3 if sub_solid else 0.5) * (core - background)
    if "solid component" in query.modifiers:
        threshold = max(threshold, -250.0)
    bright = (near > threshold) & (distance <= reach_mm)
    mask = _part_at(bright, local)
    if blob.diameter_mm >= 6.0:
        compact = _part_at(opened(mask, 0.18 * blob.diameter_mm, window.ct.spacing), local)
        if compact.sum() > 0.3 * mask.sum():
            mask = compact
    return box, mask, core


def _part_at(mask: Array, point: tuple[int, ...]) -> Bools:
    """Return the component at a point, or the one nearest to it."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return np.zeros(mask.shape, dtype=bool)
    label = labels[point]
    if label == 0:
        marked = np.argwhere(labels > 0)
        nearest = marked[np.argmin(((marked - np.array(point)) ** 2).sum(axis=1))]
        label = labels[tuple(nearest)]
    part: Bools = labels == label
    return part


def _size_fit(query: Query, cubic_mm: float) -> float:
    """Return how well a volume fits the stated diameters, 0 to 1."""
    diameter = (6.0 * cubic_mm / np.pi) ** (1 / 3)
    if query.sizes_mm:
        off = min(abs(np.log(diameter / (0.85 * size))) for size in query.sizes_mm)
        return float(np.exp(-((off / 0.45) ** 2) / 2))
    if query.largest_mm is not None and diameter > query.largest_mm:
        return 0.3
    if query.smallest_mm is not None and diameter < 0.85 * query.smallest_mm:
        return 0.3
    return 1.0


def _density_fit(query: Query, core: float) -> float:
    """Return how well the core's HU fits what the text says of it."""
    if "calcified" in query.modifiers and "partly calcified" not in query.modifiers:
        return 1.0 if core > CALCIUM_HU else 0.2
    if "ground glass" in query.modifiers and "part-solid" not in query.modifiers:
        return 1.0 if core < -250.0 else 0.4
    return 1.0
