"""The published rules, written plainly on whole arrays: slow, obvious, and sharing no line with the scorer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

STRUCTURES = {6: 1, 18: 2, 26: 3}


@dataclass
class Expected:
    """What a finding must count."""

    dice: float
    filtered_dice: float
    kept_voxels: int
    overlap: tuple[int, int, int]
    matched_dice: float
    distance: tuple[int, int, int]


def dice(a: np.ndarray, b: np.ndarray, smoothing: float = 0.0) -> float:
    """Compute the Dice of two boolean arrays."""
    if not a.any() and not b.any():
        return 1.0
    return (2 * int((a & b).sum()) + smoothing) / (int(a.sum()) + int(b.sum()) + smoothing)


def parts_of(prediction: np.ndarray, connectivity: int = 18, least: int = 10, most: int = 50) -> list[np.ndarray]:
    """Return the components that are kept, in the order of their first voxels."""
    labels, n = ndimage.label(prediction, ndimage.generate_binary_structure(3, STRUCTURES[connectivity]))
    parts = [labels == i for i in range(1, n + 1)]
    parts = [part for part in parts if part.sum() >= least]
    ranked = sorted(range(len(parts)), key=lambda i: (-parts[i].sum(), i))[:most]
    return [parts[i] for i in sorted(ranked)]


def edge(mask: np.ndarray) -> np.ndarray:
    """Return the voxels with one of six neighbours outside the mask or the volume."""
    return mask & ~ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1))


def assd(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...], pooling: str = "pooled") -> float:
    """Compute the average symmetric surface distance through distance maps."""
    to_b = ndimage.distance_transform_edt(~edge(b), sampling=spacing)[edge(a)]
    to_a = ndimage.distance_transform_edt(~edge(a), sampling=spacing)[edge(b)]
    if pooling == "pooled":
        return float(np.concatenate([to_a, to_b]).mean())
    return float((to_a.mean() + to_b.mean()) / 2)


def centroid_distance(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Compute the distance of two centres of mass."""
    gap = (np.argwhere(a).mean(axis=0) - np.argwhere(b).mean(axis=0)) * np.array(spacing)
    return float(np.sqrt((gap**2).sum()))


def greedy(scores: np.ndarray, good: np.ndarray) -> list[tuple[int, int]]:
    """Take the lowest good pair, strike out its row and column, and so on; the first of equals wins."""
    taken = []
    good = good.copy()
    while good.any():
        best = min(
            (pair for pair in product(*map(range, scores.shape)) if good[pair]), key=lambda pair: (scores[pair], pair)
        )
        taken.append(best)
        good[best[0], :] = False
        good[:, best[1]] = False
    return taken


def evaluate(
    truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float, float], *, focal: bool
) -> Expected:
    """Score one finding by every rule of both profiles."""
    mask = prediction > 0
    entities = [truth == label for label in sorted(set(truth.ravel().tolist()) - {0})]
    parts = parts_of(mask)
    kept = np.any(parts, axis=0) if parts else np.zeros_like(mask)
    shape = (len(entities), len(parts))
    overlap = np.zeros(shape)
    distance = np.zeros(shape)
    edges = [edge(mask) for mask in (*entities, *parts)]
    maps = [ndimage.distance_transform_edt(~shell, sampling=spacing) for shell in edges if not focal]
    for (i, a), (j, b) in product(enumerate(entities), enumerate(parts)):
        overlap[i, j] = dice(a, b)
        if focal:
            distance[i, j] = centroid_distance(a, b, spacing)
        else:
            there, back = len(entities) + j, i
            distance[i, j] = np.concatenate([maps[there][edges[back]], maps[back][edges[there]]]).mean()
    # The organisers' evaluator sorts by the smoothed Dice; in exact arithmetic: by the Dice, then the smaller pair.
    every = list(product(*map(range, shape)))
    sizes = {(i, j): int(entities[i].sum() + parts[j].sum()) for i, j in every}
    order = sorted({(-overlap[pair], sizes[pair]) for pair in every})
    ranks = np.array([order.index((-overlap[pair], sizes[pair])) for pair in every], float).reshape(shape)
    by_overlap = greedy(ranks, overlap >= 0.2)
    by_distance = greedy(distance, distance <= 2 * max(spacing))
    return Expected(
        dice=dice(truth > 0, mask),
        filtered_dice=dice(truth > 0, kept, 1e-6),
        kept_voxels=int(kept.sum()),
        overlap=(len(by_overlap), len(parts) - len(by_overlap), len(entities) - len(by_overlap)),
        matched_dice=float(sum(overlap[pair] for pair in by_overlap)),
        distance=(len(by_distance), len(parts) - len(by_distance), len(entities) - len(by_distance)),
    )
