"""3D Slicer's ``.seg.nrrd``: a label map, or a list of them, whose header names the segments.

Source: the NRRD format definition (Teem) and Slicer's developer guide, "Segmentation labelmap file format".
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from harness.errors import DataError

_TYPES: Final = {
    "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1", "signed char": "i1", "int8": "i1",
    "short": "i2", "int16": "i2", "signed short": "i2", "ushort": "u2", "unsigned short": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4",
}  # fmt: skip
_HEADER_LIMIT: Final = 4 * 1024 * 1024  # bytes
_VOXEL_LIMIT: Final = 2**32
_TO_RAS: Final = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
}


@dataclass(frozen=True)
class Segment:
    """One named structure."""

    name: str
    layer: int
    value: int


@dataclass(frozen=True)
class Segmentation:
    """What a file holds: layers (L, X, Y, Z), their affine (array index -> mm, RAS+), and the segments."""

    layers: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    segments: tuple[Segment, ...]

    def mask(self, segment: Segment) -> npt.NDArray[np.uint8]:
        """Return the 0/1 mask of one segment."""
        return np.asarray(self.layers[segment.layer] == segment.value, np.uint8)

    @property
    def is_empty(self) -> bool:
        """Whether it is Slicer's placeholder for no voxel at all: a single one, whose geometry means nothing."""
        return bool(self.layers[0].size == 1)


def read_segmentation(path: Path) -> Segmentation:
    """Read a ``.seg.nrrd`` file.

    Raises
    ------
    DataError
        It cannot be read as a segmentation.
    """
    fix = "save the segmentation again from 3D Slicer (File, Save, .seg.nrrd)"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="put the file back") from error
    end = re.search(rb"\r?\n\r?\n", raw[:_HEADER_LIMIT])
    if not raw.startswith(b"NRRD") or end is None:
        raise DataError(f"{path} is not an NRRD file", fix=fix)
    fields, extra = _fields(raw[: end.start()].decode("utf-8", "replace"))
    try:
        sizes = _sizes(fields["sizes"])
        dtype = np.dtype(_TYPES[fields["type"].lower()]).newbyteorder(
            ">" if fields.get("endian", "little") == "big" else "<"
        )
        values = np.frombuffer(_voxels(raw[end.end() :], fields["encoding"], sizes, dtype), dtype)
        layers = values.reshape(sizes if len(sizes) == 4 else [1, *sizes], order="F")
        return Segmentation(layers, _affine(fields), _segments(extra, len(layers)))
    except (KeyError, ValueError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a segmentation: {error!r}", fix=fix) from error


def _sizes(text: str) -> list[int]:
    sizes = [int(n) for n in text.split()]
    if len(sizes) not in {3, 4} or np.prod(sizes, dtype=float) > _VOXEL_LIMIT or min(sizes) < 1:
        raise ValueError(f"sizes {sizes}")
    return sizes


def _fields(text: str) -> tuple[dict[str, str], dict[str, str]]:
    fields, extra = {}, {}
    for line in text.splitlines()[1:]:
        if line.startswith("#"):
            continue
        if ":=" in line:
            name, _, value = line.partition(":=")
            extra[name.strip()] = value
        elif ": " in line:
            name, _, value = line.partition(": ")
            fields[name.strip().lower()] = value.strip()
    return fields, extra


def _voxels(data: bytes, encoding: str, sizes: Sequence[int], dtype: np.dtype[Any]) -> bytes:
    wanted = int(np.prod(sizes)) * dtype.itemsize
    if encoding.lower() in {"gzip", "gz"}:
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(wanted)
    elif encoding.lower() != "raw":
        raise ValueError(f"encoding {encoding}")
    if len(data) < wanted:
        raise EOFError(f"{len(data)} of {wanted} bytes of voxels")
    return data[:wanted]


def _affine(fields: dict[str, str]) -> npt.NDArray[np.float64]:
    vectors = re.findall(r"\(([^)]*)\)", fields["space directions"])
    columns = np.array([[float(n) for n in vector.split(",")] for vector in vectors])
    origin = np.array([float(n) for n in fields["space origin"].strip("() ").split(",")])
    if columns.shape != (3, 3) or origin.shape != (3,):
        raise ValueError("the space has not three directions")
    flip = np.array(_TO_RAS[fields["space"].lower()])
    affine = np.eye(4)
    affine[:3, :3] = (columns * flip).T
    affine[:3, 3] = origin * flip
    return affine


def _segments(extra: dict[str, str], layers: int) -> tuple[Segment, ...]:
    numbers = sorted(int(match[1]) for name in extra if (match := re.fullmatch(r"Segment(\d+)_Name", name)))
    segments = tuple(
        Segment(
            name=extra[f"Segment{n}_Name"],
            layer=int(extra.get(f"Segment{n}_Layer", 0)),
            value=int(extra.get(f"Segment{n}_LabelValue", n + 1)),
        )
        for n in numbers
    )
    if any(not 0 <= segment.layer < layers for segment in segments):
        raise ValueError("a segment names a layer that is not there")
    return segments


def write_segmentation(
    path: Path, layers: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64], segments: Sequence[Segment]
) -> None:
    """Write a ``.seg.nrrd`` file that 3D Slicer opens as a segmentation; the same input gives the same bytes.

    Parameters
    ----------
    path
        The file.
    layers
        Labels (L, X, Y, Z).
    affine
        Array index -> mm, RAS+.
    segments
        What the labels are.
    """
    flip = np.array(_TO_RAS["lps"])
    directions = " ".join(_vector(affine[:3, axis] * flip) for axis in range(3))
    extent = " ".join(f"0 {n - 1}" for n in layers.shape[1:])
    lines = [
        "NRRD0004",
        "type: unsigned char",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, layers.shape))}",
        f"space directions: none {directions}",
        "kinds: list domain domain domain",
        "encoding: gzip",
        f"space origin: {_vector(affine[:3, 3] * flip)}",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    for n, segment in enumerate(segments):
        lines += [
            f"Segment{n}_Extent:={extent}",
            f"Segment{n}_ID:=finding_{n}",
            f"Segment{n}_LabelValue:={segment.value}",
            f"Segment{n}_Layer:={segment.layer}",
            f"Segment{n}_Name:={' '.join(segment.name.split())}",
        ]
    data = gzip.compress(layers.tobytes(order="F"), 1, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.write_bytes("\n".join(lines).encode() + b"\n\n" + data)
    beside.replace(path)


def _vector(values: npt.NDArray[np.float64]) -> str:
    return f"({','.join(f'{float(value):.17g}' for value in values)})"
