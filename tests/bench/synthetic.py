"""Seeded masks of the real sizes, written as the released ones are: uint8, (F, H, W, D), gzip, identity affine."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from zlib_ng import gzip_ng

#: Volumes are held as (D, W, H) in C order, which is the file's order of one finding.
Volume = np.ndarray

SPACING = (0.75, 0.75, 1.0)


@dataclass(frozen=True)
class Made:
    """One synthetic case on disk."""

    name: str
    truth: Path
    stack: Path
    shape: tuple[int, int, int]
    categories: tuple[str, ...]


def lungs(shape: tuple[int, int, int]) -> np.ndarray:
    """Return two ellipsoids that fill about a fifth of the volume."""
    d, w, h = shape
    z, y, x = np.ogrid[:d, :w, :h]
    both = np.zeros(shape, bool)
    for centre in (0.3, 0.7):
        both |= ((x / h - centre) / 0.17) ** 2 + ((y / w - 0.5) / 0.3) ** 2 + ((z / d - 0.5) / 0.45) ** 2 < 1
    return both


def balls(rng: np.random.Generator, shape: tuple[int, int, int], n: int, radii: tuple[float, float]) -> Volume:
    """Return `n` labelled balls inside the lungs; radii in mm."""
    most = 300 if n == 300 else 255  # more than a byte holds only where that is what is measured
    volume = np.zeros(shape, np.uint16 if most > 255 else np.uint8)
    inside = np.flatnonzero(lungs(shape))
    for label, flat in enumerate(rng.choice(inside, n), 1):
        draw_ball(volume, np.unravel_index(flat, shape), rng.uniform(*radii), (label - 1) % most + 1)
    return volume


def draw_ball(volume: Volume, centre: Sequence[int], radius: float, label: int) -> None:
    """Draw one ball of `radius` mm around a voxel (z, y, x)."""
    step = SPACING[::-1]
    reach = [int(np.ceil(radius / size)) for size in step]
    window = tuple(slice(max(0, int(c) - r), int(c) + r + 1) for c, r in zip(centre, reach, strict=True))
    grid = np.ogrid[tuple(slice(s.start, min(s.stop, n)) for s, n in zip(window, volume.shape, strict=True))]
    square = sum(((g - c) * size) ** 2 for g, c, size in zip(grid, centre, step, strict=True))
    volume[window][square <= radius**2] = label


def reticulation(rng: np.random.Generator, shape: tuple[int, int, int], *, share: float = 0.05) -> Volume:
    """Return thin walls through both lungs, as interstitial disease draws them, in slabs of entities."""
    from scipy import ndimage  # only where masks are made, so that a process that scores them does not carry it

    d = shape[0]
    coarse = rng.standard_normal((d // 6 + 2, shape[1] // 8 + 2, shape[2] // 8 + 2)).astype(np.float32)
    inside = lungs(shape)
    volume = np.zeros(shape, np.uint8)
    for z in range(int(0.08 * d), int(0.92 * d)):
        low, weight = divmod(z / 6, 1)
        plane = coarse[int(low)] * (1 - weight) + coarse[int(low) + 1] * weight
        field = ndimage.zoom(plane, 8, order=1)[: shape[1], : shape[2]]
        walls = (np.abs(field) < share * 0.75) & inside[z]
        volume[z][walls] = 1 + z * 16 // d + 17 * (np.nonzero(walls)[1] > shape[2] // 2)
    return volume


def blob(rng: np.random.Generator, shape: tuple[int, int, int]) -> Volume:
    """Return one consolidation: a few overlapping balls."""
    volume = np.zeros(shape, np.uint8)
    centre = np.array([shape[0] * 0.4, shape[1] * 0.6, shape[2] * 0.3])
    for _ in range(6):
        draw_ball(volume, (centre + rng.integers(-12, 13, 3)).astype(int), rng.uniform(14, 24), 1)
    return volume


def imperfect(rng: np.random.Generator, truth: Volume) -> Volume:
    """Return what a model might predict: shifted, eroded, pieces dropped and invented."""
    from scipy import ndimage

    keep = rng.random(max(256, int(truth.max()) + 1)) > 0.15
    keep[:2] = True
    guess = (truth > 0) & keep[truth]
    if np.count_nonzero(truth) > 500_000:  # thin walls: thinned, since a shift would miss them all
        guess &= rng.random(truth.shape, np.float32) > 0.04
    else:
        guess = np.roll(guess, 1, axis=1)
    guess[: int(0.06 * truth.shape[0])] = False
    guess[int(0.8 * truth.shape[0]) :] = False
    if truth.max() == 1:
        guess = ndimage.binary_erosion(guess)
    for flat in rng.integers(0, guess.size, 60):
        guess.reshape(-1)[flat] = True
    return guess.astype(np.uint8)


def write(path: Path, volumes: Sequence[Volume], dtype: str = "u1", level: int = 6) -> Path:
    """Write findings as one (F, H, W, D) file, slice by slice."""
    import nibabel as nib  # as above

    d, w, h = volumes[0].shape
    header = nib.Nifti1Header()
    header.set_data_dtype(np.dtype(dtype))
    header.set_data_shape((len(volumes), h, w, d))
    header.set_sform(np.eye(4), code=2)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip_ng.open(path, "wb", compresslevel=level) if level else gzip.open(path, "wb", 0) as stream:
        stream.write(header.binaryblock + b"\0" * 4)
        for z in range(d):
            stream.write(np.stack([volume[z] for volume in volumes], axis=-1).astype(dtype).tobytes())
    return path


Make = Callable[[np.random.Generator, tuple[int, int, int]], tuple[list[Volume], list[Volume], list[str]]]


def _findings(*kinds: tuple[str, str]) -> Make:
    def make(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[list[Volume], list[Volume], list[str]]:
        truths = []
        for kind, _ in kinds:
            if kind == "nodules":
                truths.append(balls(rng, shape, 40, (2.5, 7)))
            elif kind == "specks":
                truths.append(balls(rng, shape, 3000, (1.1, 1.6)))
            elif kind == "specks10k":
                truths.append(balls(rng, shape, 10_000, (1.1, 1.6)))
            elif kind == "labels300":
                truths.append(balls(rng, shape, 300, (2.5, 7)))
            elif kind == "blob":
                truths.append(blob(rng, shape))
            else:
                truths.append(reticulation(rng, shape))
        return truths, [imperfect(rng, truth) for truth in truths], [category for _, category in kinds]

    return make


#: Masks that repeat themselves, from the indices z, y, x of their voxels.
REPEATING: dict[str, Callable[[Sequence[np.ndarray]], np.ndarray]] = {
    "stripes": lambda at: at[2] % 2 == 0,
    "columns": lambda at: (at[2] % 2 == 0) & (at[1] % 2 == 0),
    "checkerboard": lambda at: sum(at) % 2 == 0,
    "diagonal": lambda at: sum(at) % 4 == 0,
    "ones": lambda at: at[2] >= 0,
}


def pattern(rng: np.random.Generator, shape: tuple[int, int, int], kind: str) -> np.ndarray:
    """Return one of the masks that cost the most."""
    if kind in REPEATING:
        return np.broadcast_to(REPEATING[kind](np.ogrid[: shape[0], : shape[1], : shape[2]]), shape)
    if kind == "lung":
        return lungs(shape)
    if kind == "specked":  # stripes, no two slices of which are the same
        return pattern(rng, shape, "stripes") ^ (rng.integers(0, 10_000, shape, np.uint16) == 0)
    if kind.startswith("blocks"):
        size = int(kind.removeprefix("blocks"))
        coarse = rng.integers(0, 2, [-(-n // size) for n in shape], np.uint8)
        return coarse.repeat(size, 0).repeat(size, 1).repeat(size, 2)[: shape[0], : shape[1], : shape[2]]
    if kind in {"noise2", "noise50"}:
        return rng.integers(0, 100 // int(kind.removeprefix("noise")), shape, np.uint8) == 0
    return rng.random(shape, np.float32) < int(kind.removeprefix("noise")) / 100


def _worst(kind: str) -> Make:
    def make(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[list[Volume], list[Volume], list[str]]:
        truth = balls(rng, shape, 40, (2.5, 7))
        return [truth], [pattern(rng, shape, kind).astype(np.uint8)], ["1c"]

    return make


FULL, SMALL = (320, 512, 512), (160, 256, 256)
PATTERNS = ("lung", "ones", "stripes", "specked", "columns", "checkerboard", "diagonal", "blocks3", "blocks8")
WORST = (*PATTERNS, *(f"noise{percent}" for percent in (2, 10, 14, 20, 35, 50, 80)))
MIXED = (("nodules", "2d"), ("blob", "2b"), ("reticulation", "1d"))

#: name -> (volume shape (D, W, H), maker, type of the prediction).
CASES: dict[str, tuple[tuple[int, int, int], Make, str]] = {
    "blob_f1": (FULL, _findings(MIXED[1]), "u1"),
    "specks_f1": (FULL, _findings(("specks", "2d")), "u1"),
    "retic_f1": (FULL, _findings(MIXED[2]), "u1"),
    "mixed_f2": (FULL, _findings(MIXED[0], MIXED[2]), "u1"),
    "mixed_f3": (FULL, _findings(*MIXED), "u1"),
    "mixed_f8": ((500, 512, 512), _findings(*MIXED, *MIXED, *MIXED[:2]), "u1"),
    "specks10k_f1": (FULL, _findings(("specks10k", "2d")), "u1"),
    "labels300_f1": (FULL, _findings(("labels300", "2d")), "u1"),
    "float64_f1": (FULL, _findings(MIXED[0]), "f8"),
    "int64_f1": (FULL, _findings(MIXED[0]), "i8"),
    **{f"{kind}_f1": (FULL, _worst(kind), "u1") for kind in WORST},
    # An eighth of the size, for the slow scorers and for the quick form.
    "small_f3": (SMALL, _findings(*MIXED), "u1"),
    "small_specks_f1": (SMALL, _findings(("specks", "2d")), "u1"),
    **{f"small_{kind}_f1": (SMALL, _worst(kind), "u1") for kind in WORST},
}


def make(name: str, folder: Path) -> Made:
    """Make one case, or find it where an earlier call left it."""
    shape, maker, dtype = CASES[name]
    truth, stack = folder / name / "truth.nii.gz", folder / name / "prediction.nii.gz"
    if not stack.exists():
        truths, guesses, _ = maker(np.random.default_rng(20261123), shape)
        write(truth, truths, "u2" if max(int(one.max()) for one in truths) > 255 else "u1")
        write(stack.with_name("part.nii.gz"), guesses, dtype).rename(stack)
    kinds = {
        "blob_f1": ("2b",),
        "retic_f1": ("1d",),
        "mixed_f2": ("2d", "1d"),
        "mixed_f3": ("2d", "2b", "1d"),
        "small_f3": ("2d", "2b", "1d"),
        "mixed_f8": ("2d", "2b", "1d") * 2 + ("2d", "2b"),
    }
    default = ("1c",) if name.removeprefix("small_").removesuffix("_f1") in WORST else ("2d",)
    return Made(name, truth, stack, (shape[2], shape[1], shape[0]), kinds.get(name, default))
