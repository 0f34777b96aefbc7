"""The text headers of NRRD (3D Slicer, pynrrd) and MetaImage (``.mha``): what such a file says that it holds.

Both hold lengths in LPS; a header is turned into that of a NIfTI volume, whose affine is in RAS. Sources: the NRRD
format definition (Teem), and the MetaIO documentation of ITK.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from harness.masks.header import MAX_POSITION, Affine, Header
from harness.masks.verdict import Refused, refused

#: First four bytes of the two formats.
NRRD_MAGIC: Final = b"NRRD"
META_MAGICS: Final = (b"Obje", b"NDim", b"Comm", b"Form")

#: Bytes of text beyond which a header is refused.
MAX_TEXT: Final = 1024 * 1024

_NRRD_TYPES: Final = {
    "uchar": "u1", "unsigned char": "u1", "uint8": "u1", "uint8_t": "u1", "signed char": "i1", "int8": "i1",
    "int8_t": "i1", "short": "i2", "short int": "i2", "signed short": "i2", "int16": "i2", "int16_t": "i2",
    "ushort": "u2", "unsigned short": "u2", "uint16": "u2", "uint16_t": "u2", "int": "i4", "signed int": "i4",
    "int32": "i4", "int32_t": "i4", "uint": "u4", "unsigned int": "u4", "uint32": "u4", "uint32_t": "u4",
    "longlong": "i8", "long long": "i8", "int64": "i8", "int64_t": "i8", "ulonglong": "u8",
    "unsigned long long": "u8", "uint64": "u8", "uint64_t": "u8", "float": "f4", "double": "f8",
}  # fmt: skip
_META_TYPES: Final = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_ULONG": "u8", "MET_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_LONG_LONG": "i8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_GZIP: Final = {"gzip", "gz"}
_LPS: Final = {"left-posterior-superior", "lps"}
_RAS: Final = {"right-anterior-superior", "ras"}


def parse_nrrd(lines: Iterable[str]) -> tuple[Header, bool]:
    """Read a NRRD header.

    Returns
    -------
    Header, bool
        What the voxels are, and whether they are compressed with gzip.

    Raises
    ------
    Refused
        It holds what no mask can have, or what is not read: another encoding, data in another file.
    """
    import nrrd  # imported when first needed, which is seldom

    try:
        fields = nrrd.read_header(iter(lines))
        shape = tuple(int(extent) for extent in fields["sizes"])
        stored = np.dtype(("<" if fields.get("endian", "little") == "little" else ">") + _NRRD_TYPES[fields["type"]])
        encoding = str(fields["encoding"]).lower()
    except (nrrd.NRRDError, KeyError, ValueError, TypeError, IndexError) as error:
        raise _bad(f"its NRRD header cannot be read: {error}") from error
    if any(name in fields for name in ("data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip")):
        raise _bad("its voxels lie in another file, or after bytes to skip")
    if encoding not in {"raw", *_GZIP}:
        raise _bad(f"its voxels are encoded as {encoding}; raw and gzip are read")
    return _header(shape, stored, _nrrd_affine(fields, len(shape))), encoding in _GZIP


def _nrrd_affine(fields: dict[str, object], n_axes: int) -> Affine | None:
    """Return the affine of a 3-D volume; None where the header gives none, and for a stack."""
    space = str(fields.get("space", "")).lower()
    directions, origin = fields.get("space directions"), fields.get("space origin")
    if n_axes != 3 or directions is None or space not in _LPS | _RAS:
        return None
    columns = np.asarray(directions, dtype=np.float64).T
    matrix = np.column_stack([columns, np.zeros(3) if origin is None else np.asarray(origin, np.float64)])
    return _ras(matrix, lps=space in _LPS)


def parse_meta(lines: Iterable[str]) -> tuple[Header, bool]:
    """Read a MetaImage header; returns and raises as :func:`parse_nrrd`, the compression being zlib."""
    fields = dict(_meta_fields(lines))
    try:
        shape = tuple(int(extent) for extent in fields["DimSize"].split())
        order = ">" if _true(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False"))) else "<"
        stored = np.dtype(order + _META_TYPES[fields["ElementType"]])
        n = len(shape)
        rotation = _floats(fields.get("TransformMatrix"), np.eye(n).ravel().tolist())
        spacing = _floats(fields.get("ElementSpacing"), [1.0] * n)
        origin = _floats(fields.get("Offset", fields.get("Position", fields.get("Origin"))), [0.0] * n)
        columns = np.array(rotation).reshape(n, n).T * np.array(spacing)
        matrix = np.column_stack([columns, np.array(origin)])
    except (KeyError, ValueError) as error:
        raise _bad(f"its MetaImage header cannot be read: {error}") from error
    if fields.get("ElementDataFile") != "LOCAL" or not _true(fields.get("BinaryData", "True")):
        raise _bad("its voxels lie in another file, or are written as text")
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise _bad("its voxels have several channels")
    affine = _ras(matrix, lps=True) if len(shape) == 3 else None
    return _header(shape, stored, affine), _true(fields.get("CompressedData", "False"))


def _meta_fields(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, found, value = line.partition("=")
        if found:
            yield name.strip(), value.strip()


def _floats(text: str | None, default: list[float]) -> list[float]:
    return default if text is None else [float(part) for part in text.split()]


def _true(text: str) -> bool:
    return text.strip().lower() in {"true", "1"}


def _ras(matrix: np.ndarray, *, lps: bool) -> Affine:
    if matrix.shape != (3, 4) or not (np.abs(matrix) <= MAX_POSITION).all():  # also false for NaN
        raise _bad(f"its axes are {matrix.tolist()}")
    turned = matrix * (np.array([[-1.0], [-1.0], [1.0]]) if lps else 1.0)
    return (*(tuple(row) for row in turned.tolist()), (0.0, 0.0, 0.0, 1.0))


def _header(shape: Sequence[int], stored: np.dtype[np.generic], affine: Affine | None) -> Header:
    if not 1 <= len(shape) <= 7 or any(extent < 1 for extent in shape) or math.prod(shape) > 2**40:
        raise _bad(f"it says {len(shape)} axes of {list(shape)}")
    spacing = (1.0,) * len(shape) if affine is None else _sizes(affine)
    return Header(tuple(shape), spacing, affine, stored, 0, 1.0, 0.0, sform=affine)


def _sizes(affine: Affine) -> tuple[float, ...]:
    return tuple(np.linalg.norm(np.array(affine)[:3, :3], axis=0).tolist())


def _bad(what: str) -> Refused:
    return refused(
        "header",
        f"the file cannot be read as a mask: {what}",
        cause="a damaged file, or a kind of NRRD or MetaImage that is not read here",
        fix="convert it to .nii.gz with SimpleITK: WriteImage(ReadImage(path), target)",
    )
