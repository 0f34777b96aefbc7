"""Reads a CT: decoded as a stream of a few slices at a time, straight into the type and the order that is asked for.

A whole volume is never held twice, and no axis is turned that nobody wants turned. Where the package ``zlib-ng`` is
installed it decompresses, else Python's own ``gzip``; the voxels are the same.
"""

from __future__ import annotations

import gzip
import importlib
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import nibabel as nib
import numpy as np
from nibabel.volumeutils import apply_read_scaling

from groundbench_sdk.errors import Rejected
from groundbench_sdk.grids import reorient_to

#: What decompresses.
gzip_ng: Any = gzip
with suppress(ImportError):
    gzip_ng = importlib.import_module("zlib_ng.gzip_ng")

#: Slices that are decoded at a time: few, which stay in the processor's cache.
_SLICES = 8

#: Bytes that a processor moves to and from memory at once. Where the voxels of slices lie next to one another there, as
#: many slices are decoded as fill them: fewer would move each several times.
_LINE = 64

#: Bytes that are decompressed at a time.
_PIECE = 2**20


class Layout(NamedTuple):
    """How a CT is asked for."""

    dtype: str  #: numpy's name of the type of a voxel
    axes: str | None  #: where the axes run to, as for :func:`~groundbench_sdk.grids.reorient_to`; None: as stored
    order: str  #: in memory: ``"C"``, contiguous along these axes, or ``"K"``, as the file has it

    def bytes_of(self, shape: Sequence[int]) -> int:
        """Return the size of a volume of this shape, bytes."""
        return int(np.prod(shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


def read_volume(path: Path, shape: Sequence[int], layout: Layout) -> np.ndarray:
    """Read a CT.

    Parameters
    ----------
    path
        NIfTI, one file, compressed if its name ends in ``.gz``.
    shape
        (H, W, D), voxels along the stored axes; the file may have axes of one voxel in addition.
    layout
        How it is asked for.

    Returns
    -------
    ndarray
        Hounsfield units, after slope and intercept; rounded when the type is an integer one.

    Raises
    ------
    Rejected
        When the file has another shape, or the layout another order than those two.
    """
    if layout.order not in ("C", "K"):
        raise Rejected(f"the order of a volume is 'C' or 'K', not {layout.order!r}")
    image: Any = nib.load(str(path))
    if [length for length in image.shape if length != 1] != [length for length in shape if length != 1]:
        raise Rejected(f"it has the shape {image.shape}, not {tuple(shape)}")
    asked, stored = _empty(shape, layout, image.affine)
    raw, convert = image.get_data_dtype(), _conversion(image, stored.dtype)
    with closing(_open(path)) as stream:
        _fill(stream, memoryview(bytearray(image.dataobj.offset)))
        if convert is None and stored.flags.f_contiguous:
            _fill(stream, _bytes_of(stored))
            return asked
        at_once = _SLICES if _fastest(stored) == 0 else max(_SLICES, _LINE // stored.itemsize)
        held = memoryview(bytearray(at_once * shape[0] * shape[1] * raw.itemsize))
        for first in range(0, shape[2], at_once):
            count = min(at_once, shape[2] - first)
            piece = held[: count * shape[0] * shape[1] * raw.itemsize]
            _fill(stream, piece)
            slices = np.frombuffer(piece, raw).reshape((shape[0], shape[1], count), order="F")
            _copy(slices if convert is None else convert(slices), stored[:, :, first : first + count])
    return asked


def read_stored(path: Path) -> np.ndarray:
    """Read a NIfTI file of any number of axes as its voxels are stored, in the file's order; scaled if it says so."""
    image: Any = nib.load(str(path))
    if image.dataobj.slope != 1 or image.dataobj.inter != 0:
        return np.asanyarray(image.dataobj)
    stored = np.empty(image.shape, image.get_data_dtype(), order="F")
    with closing(_open(path)) as stream:
        _fill(stream, memoryview(bytearray(image.dataobj.offset)))
        _fill(stream, _bytes_of(stored))
    return stored


def in_file_order(volume: np.ndarray) -> np.ndarray:
    """Return a volume (H, W, D) whose first axis is the fastest in memory, as in a file; itself where it is so."""
    if volume.flags.f_contiguous:
        return volume
    turned = np.empty(volume.shape, volume.dtype, order="F")
    _copy(volume, turned)
    return turned


def _fastest(volume: np.ndarray) -> int:
    """Return the axis along which neighbours lie closest in memory."""
    return int(np.abs(volume.strides).argmin())


def _copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy a volume of three axes.

    Where the axis that is fastest in memory is not the same in both, plane by plane along the third one: what is read
    and written of a plane stays in the processor's cache, of which a whole volume misses every line.
    """
    fastest = {_fastest(source), _fastest(target)}
    if len(fastest) == 1:
        target[...] = source
        return
    (third,) = {0, 1, 2} - fastest
    for plane in range(source.shape[third]):
        at = (slice(None),) * third + (plane,)
        target[at] = source[at]


def _empty(shape: Sequence[int], layout: Layout, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return new memory as it is asked for, and the same memory with the axes as stored."""
    dtype = np.dtype(layout.dtype)
    if layout.axes is None:
        memory = np.empty(tuple(shape), dtype, order="C" if layout.order == "C" else "F")
        return memory, memory
    reorientation = reorient_to(layout.axes, affine)
    if layout.order == "K":
        memory = np.empty(tuple(shape), dtype, order="F")
        return reorientation.apply(memory), memory
    memory = np.empty(reorientation.values(shape), dtype)
    return memory, reorientation.restore(memory)


def _conversion(image: Any, dtype: np.dtype[Any]) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return what makes Hounsfield units of stored voxels, in single precision as nibabel does; None: they are such."""
    data = image.dataobj
    if data.slope == 1 and data.inter == 0 and image.get_data_dtype() == dtype:
        return None
    single = np.dtype(np.float32)
    slope, inter = map(np.asanyarray, (data.slope, data.inter))
    slope, inter = (value.astype(single) if np.can_cast(value, single) else value for value in (slope, inter))

    def convert(slices: np.ndarray) -> np.ndarray:
        scaled = apply_read_scaling(slices, slope, inter)
        found = scaled.astype(np.promote_types(scaled.dtype, single), copy=False).astype(single, copy=False)
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            found = np.clip(np.rint(found), limits.min, limits.max)
        return np.asarray(found)

    return convert


def _bytes_of(memory: np.ndarray) -> memoryview:
    """Return the bytes of an array in the file's order, to be written to."""
    return memory.reshape(-1, order="F").view(np.uint8).data


def _open(path: Path) -> Any:
    return gzip_ng.open(str(path), "rb") if path.name.endswith(".gz") else path.open("rb")


def _fill(stream: Any, memory: memoryview) -> None:
    at = 0
    while at < len(memory):
        got = stream.readinto(memory[at : at + _PIECE])
        if not got:
            raise EOFError(f"the file ends {len(memory) - at:,} bytes too early")
        at += got
