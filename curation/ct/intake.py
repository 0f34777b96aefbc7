"""Bring raw volumes to HU on axes that are said outright, slice by slice."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt

from curation.ct.dicom import Series, read_stack
from curation.ct.metadata import Scan
from harness.dataset.nifti import write_volume
from harness.dataset.voxels import read_header, slices
from harness.errors import BenchError, DataError
from harness.masks.header import Header

_ALREADY: Final = 0.05  # share of voxels at the value of air in HU, above which a volume is in HU already
_AIR: Final = (-1100, -900)  # HU
IN_HU: Final = Scan(1.0, 0.0, None)  #: of volumes whose values are HU
_AGREE: Final = 0.02  # relative difference of spacings that is believed to be rounding


@dataclass(frozen=True)
class Options:
    """How volumes are brought in.

    Attributes
    ----------
    axes
        Directions of the array axes that are written, e.g. ``"LPS"``; None: as they are.
    assumed
        Axis directions of a volume whose header does not state them; None: such a volume is refused.
    window
        HU that become 0 and 1 (values outside are clipped, float32 is written); None: HU, int16.
    largest
        Pixels that the longer side of a larger slice gets, the paper's 512 (section 3.6); None: as it is. Both sides
        shrink by the same factor, and a new pixel is the mean over its area.
    """

    axes: str | None = "LPS"
    assumed: str | None = None
    window: tuple[float, float] | None = None
    largest: int | None = None


@dataclass(frozen=True)
class Taken:
    """What became of one volume."""

    name: str
    ok: bool
    reason: str = ""
    note: str = ""
    shape: tuple[int, ...] = ()


def take_in(source: Path, target: Path, scan: Scan, options: Options) -> Taken:
    """Convert one volume.

    Axes that only change place or direction inside a slice cost nothing; where slices themselves change order, the
    volume goes through a temporary file. Never is more than a few slices in memory.

    Raises
    ------
    DataError
        The volume cannot be read, is in HU already, or its header does not state its orientation.
    """
    header = read_header(source)
    if len(header.shape) != 3:
        raise DataError(f"it has shape {header.shape}, not three axes", fix="give CT volumes")
    if header.scaled and (scan.slope, scan.intercept) != (1.0, 0.0):
        raise DataError(
            f"header (slope {header.slope:g}, intercept {header.inter:g}) and table both scale it",
            fix="only one of them can be meant: correct the table, or the header",
        )
    affine, note = _affine(header, scan, options)

    def in_hu() -> Iterator[npt.NDArray[np.float32]]:
        for stored in slices(source, header.shape):
            values = stored * np.float32(header.slope) + np.float32(header.inter) if header.scaled else stored
            yield np.asarray(values, np.float32) * np.float32(scan.slope) + np.float32(scan.intercept)

    return _take(_Volume(in_hu(), header.shape, affine, note), target, options, scan)


def take_series(series: Series, target: Path, options: Options) -> Taken:
    """Convert one DICOM series; raises DataError where it is not one regular stack of slices in HU."""
    stack = read_stack(series)
    values, affine = stack.values.transpose(2, 1, 0), stack.affine[:, [2, 1, 0, 3]]  # columns, rows, slices
    images = (values[..., n] for n in range(values.shape[2]))
    return _take(_Volume(images, values.shape, affine, stack.note), target, options)


@dataclass(frozen=True)
class _Volume:
    """A volume in HU, before its axes are turned."""

    images: Iterator[npt.NDArray[np.float32]]
    shape: tuple[int, ...]
    affine: npt.NDArray[np.float64]
    note: str


def _take(volume: _Volume, target: Path, options: Options, scan: Scan | None = None) -> Taken:
    """Turn, resample, window and write a volume.

    Parameters
    ----------
    volume, target, options
        What, where to, and how.
    scan
        By which slope and intercept it became HU, so that values which were HU before are refused, and those which are
        not are; None: the file itself says that they are HU.
    """
    order, flips, turned = _turn(volume.affine, volume.shape, options.axes)
    note = volume.note
    air = total = 0
    least = math.inf
    slope, intercept = (scan.slope, scan.intercept) if scan else (1.0, 0.0)

    def counted() -> Iterator[npt.NDArray[np.float32]]:
        nonlocal air, total, least
        for image in volume.images:
            stored = (image - np.float32(intercept)) / np.float32(slope)
            air += int(np.count_nonzero((stored > _AIR[0]) & (stored < _AIR[1])))
            total += image.size
            least = min(least, float(image.min()))
            yield image

    shape = tuple(volume.shape[axis] for axis in order)
    sides = _sides(shape, options.largest)
    if sides != shape[:2]:
        resampled = (
            f"slices of {shape[0]} x {shape[1]} resampled to {sides[0]} x {sides[1]}: means over each pixel's area"
        )
        note = "; ".join(filter(None, (note, resampled)))
        factors = np.divide(shape[:2], sides)
        turned[:3, 3] += turned[:3, :2] @ ((factors - 1) / 2)  # the centre of the first new pixel
        turned[:3, :2] *= factors
        shape = (*sides, shape[2])
    kind = np.int16 if options.window is None else np.float32
    with tempfile.TemporaryDirectory(dir=_made(target.parent)) as folder:
        images = _turned(counted(), volume.shape, order, flips, Path(folder))
        written = (_finished(_resampled(image, sides), options.window) for image in images)
        waiting = Path(folder) / target.name
        write_volume(waiting, kind, shape, turned, written)
        if intercept <= -500 and air / total > _ALREADY:
            raise DataError(
                f"{air / total:.0%} of its stored values are those of air in HU: it is in HU already",
                fix="add --hu for volumes in HU, or give the raw ones",
            )
        if scan is not None and intercept == 0 and least >= 0:
            raise DataError(
                "no value of it is below 0 HU: it is not in HU", fix="correct the table, or give --metadata"
            )
        waiting.replace(target)
    return Taken(target.name.removesuffix(".nii.gz"), ok=True, note=note, shape=shape)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _affine(header: Header, scan: Scan, options: Options) -> tuple[npt.NDArray[np.float64], str]:
    """Return array index -> mm (RAS+) of the stored array, and a note where header and table differ."""
    identity = header.affine is not None and np.allclose(header.affine, np.eye(4))
    if header.affine is None or identity:
        if options.assumed is None:
            raise DataError(
                "its header does not state its orientation",
                fix="look at the volume and state it, e.g. --assume LPS",
            )
        codes: Any = nib.orientations.axcodes2ornt(tuple(options.assumed))  # type: ignore[no-untyped-call]
        directions = np.zeros((3, 3))
        for axis, (world, sign) in enumerate(codes):
            directions[int(world), axis] = sign
        spacing = scan.spacing or _positive(header.spacing)
        result = np.eye(4)
        result[:3, :3] = directions * np.array(spacing)
        return result, f"orientation {options.assumed} assumed"
    affine = np.array(header.affine)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if scan.spacing is None or np.allclose(lengths, scan.spacing, rtol=_AGREE):
        return affine, ""
    note = f"spacing {_mm(scan.spacing)} from the table, {_mm(lengths)} in the header"
    affine[:3, :3] = affine[:3, :3] / lengths * np.array(scan.spacing)
    return affine, note


def _positive(spacing: tuple[float, ...]) -> tuple[float, ...]:
    if min(spacing) <= 0:
        raise DataError("neither its header nor the table states its spacing", fix="add XYSpacing and ZSpacing")
    return spacing


def _mm(sizes: Any) -> str:
    return " x ".join(f"{float(size):.4g}" for size in sizes) + " mm"


def _turn(
    affine: npt.NDArray[np.float64], shape: tuple[int, ...], axes: str | None
) -> tuple[tuple[int, ...], tuple[bool, ...], npt.NDArray[np.float64]]:
    """Return which source axis becomes each axis, whether it is reversed, and the affine of the turned array."""
    if axes is None:
        return (0, 1, 2), (False, False, False), affine
    now: Any = nib.orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
    wanted: Any = nib.orientations.axcodes2ornt(tuple(axes))  # type: ignore[no-untyped-call]
    change: Any = nib.orientations.ornt_transform(now, wanted)  # type: ignore[no-untyped-call]
    order = tuple(int(np.flatnonzero(change[:, 0] == axis)[0]) for axis in range(3))
    flips = tuple(bool(change[source, 1] < 0) for source in order)
    back: Any = nib.orientations.inv_ornt_aff(change, shape)  # type: ignore[no-untyped-call]
    return order, flips, affine @ back


def _turned(
    images: Iterator[npt.NDArray[np.float32]],
    shape: tuple[int, ...],
    order: tuple[int, ...],
    flips: tuple[bool, ...],
    folder: Path,
) -> Iterator[npt.NDArray[np.float32]]:
    """Give the slices of the turned volume, in order."""
    in_plane = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips[:2])
    if order[2] == 2 and not flips[2]:
        for image in images:
            yield (image if order[:2] == (0, 1) else image.T)[in_plane]
        return
    stored = np.memmap(folder / "volume", np.float32, "w+", shape=(shape[2], shape[0], shape[1]))
    for z, image in enumerate(images):
        stored[z] = image
    volume = stored.transpose(1, 2, 0).transpose(order)
    count = volume.shape[2]
    for z in range(count - 1, -1, -1) if flips[2] else range(count):
        yield np.asarray(volume[:, :, z][in_plane])


def _sides(shape: tuple[int, ...], largest: int | None) -> tuple[int, int]:
    """Return the sides of a written slice: the longer one at most `largest`, both shrunk by the same factor."""
    height, width = shape[:2]
    longer = max(height, width)
    if largest is None or longer <= largest:
        return height, width
    return max(1, round(height * largest / longer)), max(1, round(width * largest / longer))


def _resampled(image: npt.NDArray[np.float32], sides: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the means of a slice over the areas of fewer, larger pixels that cover it exactly."""
    if image.shape == sides:
        return image
    means = image.astype(np.float64)
    for axis, length in enumerate(sides):
        means = _means(means.swapaxes(0, axis), length).swapaxes(0, axis)
    return means.astype(np.float32)


def _means(values: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.float64]:
    """Return means over `length` equal parts of the first axis, each old value counted by its share in a part."""
    count = len(values)
    edges = np.arange(length + 1) * count
    whole, part = edges // length, edges % length / length
    below = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    sums = below[whole] + part[:, None] * values[np.minimum(whole, count - 1)]
    return np.diff(sums, axis=0) * length / count


def _finished(image: npt.NDArray[np.float32], window: tuple[float, float] | None) -> npt.NDArray[Any]:
    if window is None:
        return np.clip(np.rint(image), -32768, 32767).astype(np.int16)
    low, high = window
    return np.asarray(np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1))


def _safely(source: Path | Series, target: Path, scan: Scan, options: Options) -> Taken:
    try:
        if isinstance(source, Series):
            return take_series(source, target, options)
        return take_in(source, target, scan, options)
    except BenchError as error:
        return Taken(target.name.removesuffix(".nii.gz"), ok=False, reason=error.message)


def take_all(
    volumes: Mapping[str, Path | Series],
    scans: dict[str, Scan],
    faults: dict[str, str],
    out: Path,
    *,
    options: Options,
    jobs: int = 1,
    progress: Callable[[int, int, Taken], None] = lambda *_: None,
) -> list[Taken]:
    """Convert many volumes, several at a time; existing volumes are kept, and a fault does not stop the other volumes.

    Parameters
    ----------
    volumes
        Name -> file or DICOM series.
    scans, faults
        As :func:`curation.ct.metadata.read_metadata` returns them; those of series are not looked at, and those of
        volumes that are in HU already are :data:`IN_HU`.
    out
        Folder for ``<name>.nii.gz``.
    options
        How.
    jobs
        Volumes at a time; each needs a few slices of memory.
    progress
        Called after every volume with how many are done, of how many, and what became of it.
    """
    taken: dict[str, Taken] = {}
    todo: list[tuple[Path | Series, Path, Scan, Options]] = []
    for name, source in volumes.items():
        if (out / f"{name}.nii.gz").exists():
            taken[name] = Taken(name, ok=True, note="there already")
        elif isinstance(source, Series):
            todo.append((source, out / f"{name}.nii.gz", IN_HU, options))
        elif name not in scans:
            taken[name] = Taken(name, ok=False, reason=faults.get(name, "the metadata table has no row for it"))
        else:
            todo.append((source, out / f"{name}.nii.gz", scans[name], options))
    for number, done in enumerate(taken.values(), start=1):
        progress(number, len(volumes), done)
    if jobs == 1 or len(todo) < 2:
        for work in todo:
            done = _safely(*work)
            taken[done.name] = done
            progress(len(taken), len(volumes), done)
    else:
        with ProcessPoolExecutor(min(jobs, len(todo))) as pool:
            for future in as_completed([pool.submit(_safely, *work) for work in todo]):
                done = future.result()
                taken[done.name] = done
                progress(len(taken), len(volumes), done)
    return [taken[name] for name in volumes]
