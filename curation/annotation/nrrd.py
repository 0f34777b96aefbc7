"""3D Slicer's ``.seg.nrrd``: a label map, or a list of them, whose header names the segments.

Source: the NRRD format definition (Teem) and Slicer's developer guide, "Segmentation labelmap file format".
"""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import nrrd
import numpy as np
import numpy.typing as npt

from curation.volumes import require_size
from harness.errors import DataError

_TYPES: Final = {
    "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1", "signed char": "i1", "int8": "i1",
    "short": "i2", "int16": "i2", "signed short": "i2", "ushort": "u2", "unsigned short": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4",
}  # fmt: skip
_HEADER_LIMIT: Final = 4 * 1024 * 1024  # bytes
_MOST_INFLATED: Final = (
    1032  # bytes that DEFLATE can make of one (zlib's technical details, "Maximum Compression Factor")
)
_TAG_NAME: Final = "groundbench.finding"  # a tag stays with its segment when it is renamed, moved or copied
_TAG = re.compile(rf"{re.escape(_TAG_NAME)}:([0-9a-f]+)")
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
    mark: str = ""  #: digest of the finding that it was made for, from its tags; empty: none is stated


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
    """Read a ``.seg.nrrd`` file; what its header declares bounds what is inflated.

    Raises
    ------
    DataError
        It cannot be read, or is not a segmentation.
    """
    fix = "save the segmentation again from 3D Slicer (File, Save, .seg.nrrd)"
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", fix="put the file back") from error
    with file:
        try:
            fields = _header(file)
            sizes = _sizes(fields["sizes"])
            affine = _affine(fields, n_lists=len(sizes) - 3)
            dtype = np.dtype(_TYPES[fields["type"].lower()])
            if dtype.itemsize > 1:
                dtype = np.dtype({"little": "<", "big": ">"}[fields["endian"].lower()] + dtype.str[1:])
            values = np.frombuffer(_voxels(file, fields["encoding"].lower(), sizes, dtype), dtype)
            layers = values.reshape(sizes if len(sizes) == 4 else [1, *sizes], order="F")
            return Segmentation(layers, affine, _segments(fields, len(layers)))
        except (
            nrrd.NRRDError,
            LookupError,
            ValueError,
            TypeError,
            OverflowError,
            EOFError,
            OSError,
            zlib.error,
        ) as error:
            raise DataError(f"{path} is not a segmentation that can be read: {error!r}", fix=fix) from error


def _header(file: BinaryIO) -> dict[str, Any]:
    """Read the fields, and leave the file at its first voxel; raises ValueError where the voxels are not right there.

    The parser would take a file apart that another one's header names, and drops what is not ASCII: it gets lines.
    """
    begin = file.read(_HEADER_LIMIT)
    end = re.search(rb"\r?\n\r?\n", begin)
    if not begin.startswith(b"NRRD") or end is None:
        raise ValueError("it does not begin with the header of an NRRD file")
    file.seek(end.end())
    lines = begin[: end.start()].decode("utf-8", "replace").splitlines()
    if any(re.match(r"data ?file\s*:", line, re.IGNORECASE) for line in lines):
        raise ValueError("its voxels are in another file")
    fields: dict[str, Any] = dict(nrrd.read_header(lines))
    if any(fields.get(name) for name in ("line skip", "lineskip", "byte skip", "byteskip")):
        raise ValueError("its voxels do not follow the header")
    return fields


def _sizes(values: Iterable[Any]) -> list[int]:
    sizes = [int(n) for n in values]
    if len(sizes) not in {3, 4} or min(sizes) < 1:
        raise ValueError(f"sizes {sizes}")
    return sizes


def _voxels(file: BinaryIO, encoding: str, sizes: Sequence[int], dtype: np.dtype[Any]) -> bytes:
    """Read as many bytes as the header declares; one more shows that it is wrong."""
    require_size(sizes, dtype.itemsize)
    wanted = math.prod(sizes) * dtype.itemsize
    if encoding not in {"gzip", "gz", "raw"}:
        raise ValueError(f"encoding {encoding}")
    raw = encoding == "raw"
    most = (os.fstat(file.fileno()).st_size - file.tell()) * (1 if raw else _MOST_INFLATED)
    if wanted > most:  # before so much memory is reserved
        raise EOFError(f"at most {most} of the {wanted} bytes of voxels that its header declares")
    data = (file if raw else gzip.GzipFile(fileobj=file)).read(wanted + 1)
    if len(data) < wanted:
        raise EOFError(f"{len(data)} of {wanted} bytes of voxels")
    if len(data) > wanted:
        raise ValueError(f"more than the {wanted} bytes of voxels that its header declares")
    return data


def _affine(fields: dict[str, Any], *, n_lists: int) -> npt.NDArray[np.float64]:
    directions = np.asarray(fields["space directions"], float)
    is_list = np.isnan(directions).all(axis=1)  # ``none``: an axis that is not in space
    if is_list.tolist() != [True] * n_lists + [False] * 3:
        raise ValueError("the last three axes, and they alone, should have directions in space")
    columns, origin = directions[~is_list], np.asarray(fields["space origin"], float)
    if columns.shape != (3, 3) or origin.shape != (3,):
        raise ValueError("the space does not have three directions")
    flip = np.array(_TO_RAS[fields["space"].lower()])
    affine = np.eye(4)
    affine[:3, :3] = (columns * flip).T
    affine[:3, 3] = origin * flip
    return affine


def _segments(fields: dict[str, Any], layers: int) -> tuple[Segment, ...]:
    numbers = sorted(int(match[1]) for name in fields if (match := re.fullmatch(r"Segment(\d+)_Name", name)))
    segments = tuple(
        Segment(
            name=fields[f"Segment{n}_Name"],
            layer=int(fields.get(f"Segment{n}_Layer", 0)),
            value=int(fields.get(f"Segment{n}_LabelValue", n + 1)),
            mark=(_TAG.search(str(fields.get(f"Segment{n}_Tags", ""))) or [""] * 2)[1],
        )
        for n in numbers
    )
    if any(not 0 <= segment.layer < layers for segment in segments):
        raise ValueError("a segment names a layer that does not exist")
    return segments


def write_segmentation(
    path: Path, layers: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64], segments: Sequence[Segment]
) -> None:
    """Write a ``.seg.nrrd`` file that 3D Slicer opens as a segmentation; the same input gives the same bytes.

    pynrrd, which reads the headers, would write the time of day and refuse names that are not ASCII.

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
        if segment.mark:
            lines.append(f"Segment{n}_Tags:={_TAG_NAME}:{segment.mark}|")
    data = gzip.compress(layers.tobytes(order="F"), 1, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.write_bytes("\n".join(lines).encode() + b"\n\n" + data)
    beside.replace(path)


def _vector(values: npt.NDArray[np.float64]) -> str:
    return f"({','.join(f'{float(value):.17g}' for value in values)})"
