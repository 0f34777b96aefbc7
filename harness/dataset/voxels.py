"""Headers and voxels of a data set's ``.nii.gz`` files, in file order and bounded memory.

A 4-D mask (F, H, W, D) is stored with its first axis fastest: the findings of one voxel are adjacent, and the
axial slices follow one another. So is a 3-D CT (H, W, D). Unlike a model's masks, the files of a data set may be links.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.errors import DataError
from harness.masks.header import Header
from harness.masks.stream import Volume, header_of, open_volume
from harness.masks.values import checked, decoded
from harness.masks.verdict import Refused

_NO_LIMIT: Final = 2**62  # bytes of a file: a CT may be large, and is never held in memory as a whole


@dataclass(frozen=True)
class Labelled:
    """The labelled voxels of one stretch of a 4-D mask; three arrays of the same length."""

    channel: npt.NDArray[np.int64]  #: number of the finding
    voxel: npt.NDArray[np.int64]  #: position in the CT array, first axis fastest
    label: npt.NDArray[Any]  #: the stored value: the label of the entity


@contextmanager
def _opened(path: Path) -> Iterator[Volume]:
    """Open a volume of the data set, links followed; faults of the file become DataErrors that name it."""
    with _named(path), open_volume(path.resolve(), limit=_NO_LIMIT) as volume:
        yield volume


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn faults of a file into DataErrors that name it."""
    try:
        yield
    except Refused as refusal:
        problem = refusal.problem
        raise DataError(f"{path}: {problem.message}", fix="download or write the file again", path=path) from refusal
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}", fix="put the file back", path=path
        ) from error


def read_header(path: Path) -> Header:
    """Read the first few hundred bytes of a NIfTI file; raises DataError where that is not possible."""
    with _named(path):
        return header_of(path.resolve(), limit=_NO_LIMIT)


#: Called with the SHA-256 of a file that was read to its end.
Seen = Callable[[str], None]


def stretches(path: Path, unit: int = 1, *, seen: Seen | None = None) -> Iterator[npt.NDArray[Any]]:
    """Yield the stored values of a volume in file order, about 1 MiB at a time.

    Parameters
    ----------
    path
        The file.
    unit
        Values that must stay together.
    seen
        Called with the file's digest, which costs nothing more, at the end.

    Yields
    ------
    numpy.ndarray
        A multiple of `unit` values, valid until the next stretch.

    Raises
    ------
    DataError
        The file is truncated, damaged, or has more or fewer bytes than its header states.
    """
    with _opened(path) as volume:
        dtype = volume.header.dtype
        for block in volume.blocks(unit * dtype.itemsize):
            yield np.frombuffer(block, dtype)
        if seen is not None:
            seen(volume.sha256())


def slices(path: Path, shape: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
    """Yield the axial slices (H, W) of a 3-D volume of this shape, as stored."""
    height, width, _ = shape
    for values in stretches(path, height * width):
        yield from values.reshape((-1, width, height)).transpose(0, 2, 1)


def labelled(path: Path, findings: int, *, seen: Seen | None = None) -> Iterator[Labelled]:
    """Yield the voxels of a 4-D mask of so many channels that are not 0, stretch by stretch.

    Labels in a float or scaled file are converted to whole numbers; raises DataError where they are not whole
    numbers.
    """
    start = 0
    header = read_header(path)
    plain = header.dtype.kind in "iu" and not header.scaled
    for stored in stretches(path, findings, seen=seen):
        values = stored if plain else _whole(path, stored, header)
        if values.any():
            positions = np.flatnonzero(values)
            voxel, channel = np.divmod(positions + start, findings)
            yield Labelled(channel, voxel, values[positions])
        start += len(values)


def _whole(path: Path, stored: npt.NDArray[Any], header: Header) -> npt.NDArray[np.int64]:
    try:
        return checked(decoded(stored, header), header).astype(np.int64)
    except Refused as refusal:
        problem = refusal.problem
        raise DataError(f"{path}: {problem.message}", fix="write whole labels as uint8, unscaled") from refusal
