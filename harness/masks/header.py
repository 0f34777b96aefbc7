"""The NIfTI header: the declared content of a file, read from its first 348 or 540 bytes.

Source: the NIfTI-1.1 and NIfTI-2 header files of the NIfTI Data Format Working Group (``nifti1.h``, ``nifti2.h``).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from harness.masks.verdict import Refused, refused

#: Code of the header -> NumPy type of one voxel. Complex, colour and 128-bit types cannot be masks.
DTYPES = MappingProxyType(
    {
        2: "u1",
        4: "i2",
        8: "i4",
        16: "f4",
        64: "f8",
        256: "i1",
        512: "u2",
        768: "u4",
        1024: "i8",
        1280: "u8",
    }
)

#: The first bytes of every gzip stream.
GZIP_MAGIC = b"\x1f\x8b"

#: Bytes of header and extensions beyond which a file is refused.
MAX_OFFSET = 16 * 1024 * 1024

#: Limit of the coordinates of a CT's voxels, millimetres.
MAX_POSITION = 1e6

#: A quaternion this near to a half turn is one.
_HALF_TURN = 1e-6

#: A squared quaternion longer than 1 by more than this is not one; nibabel and ITK refuse it.
_TOO_LONG = 1e-5

Affine = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class NiftiLayout:
    """The places of the fields in one version of the format."""

    size: int
    dim: tuple[str, int]
    datatype: int
    pixdim: tuple[str, int]
    offset: tuple[str, int]
    scaling: tuple[str, int]
    codes: tuple[str, int]
    quaternion: tuple[str, int]
    rows: tuple[str, int]
    units: tuple[str, int]
    magic: tuple[int, bytes]
    first_voxel: int


NIFTI1 = NiftiLayout(
    size=348,
    dim=("8h", 40),
    datatype=70,
    pixdim=("8f", 76),
    offset=("f", 108),
    scaling=("2f", 112),
    codes=("2h", 252),
    quaternion=("6f", 256),
    rows=("12f", 280),
    units=("B", 123),
    magic=(344, b"n+1\0"),
    first_voxel=352,
)
NIFTI2 = NiftiLayout(
    size=540,
    dim=("8q", 16),
    datatype=12,
    pixdim=("8d", 104),
    offset=("q", 168),
    scaling=("2d", 176),
    codes=("2i", 344),
    quaternion=("6d", 352),
    rows=("12d", 400),
    units=("i", 500),
    magic=(4, b"n+2\0\r\n\x1a\n"),
    first_voxel=544,
)


@dataclass(frozen=True)
class Header:
    """Geometry and encoding of one single-file NIfTI-1 or NIfTI-2 volume.

    Attributes
    ----------
    shape
        Voxels along each array axis; the first axis is the fastest in the file.
    spacing
        Size of a voxel along the same axes, as written (mm in this benchmark's files).
    affine
        4x4, array index -> mm in RAS+, from the sform, else the qform; None when the file declares neither.
    dtype
        Stored type of one voxel, with its byte order.
    offset
        Bytes before the first voxel.
    slope, inter
        value = stored * slope + inter.
    sform, qform
        The affine by each of the two ways to declare one; None where its code is 0, or where it is invalid.
    nonsense
        The fault of an invalid declared affine; empty otherwise. Such an affine is not used.
    units
        Code of the unit of length: 0 not stated, 1 metre, 2 millimetre, 3 micrometre.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    affine: Affine | None
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    inter: float
    sform: Affine | None = None
    qform: Affine | None = None
    nonsense: str = ""
    units: int = 0

    @property
    def affines(self) -> tuple[Affine, ...]:
        """Every affine that the file declares."""
        return tuple(affine for affine in (self.sform, self.qform) if affine is not None)

    @property
    def grid(self) -> tuple[int, ...]:
        """The shape without the axes of one voxel that some tools append to a volume's three."""
        shape = self.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        return shape

    @property
    def nbytes(self) -> int:
        """Bytes of voxels that the file must contain."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether the stored numbers are not the values themselves."""
        return (self.slope, self.inter) != (1.0, 0.0)


def layout_of(first: bytes) -> tuple[NiftiLayout, str]:
    """Return version and byte order (``"<"`` or ``">"``) by the first four bytes; raises Refused for anything else."""
    for order in "<>":
        (size,) = struct.unpack(f"{order}i", first[:4])
        for layout in (NIFTI1, NIFTI2):
            if size == layout.size:
                return layout, order
    if first[:2] == GZIP_MAGIC:
        raise refused(
            "not_nifti",
            "the file is not a NIfTI volume: it is compressed twice",
            cause="a .nii.gz file that was compressed once more",
            fix="unpack it once: gunzip",
        )
    raise refused(
        "not_nifti",
        "the file is not a NIfTI volume: its first bytes are not a header size",
        cause="another format under a .nii or .nii.gz name",
        fix="write it with nibabel.save(nibabel.Nifti1Image(mask, ct.affine), path)",
    )


def parse_header(block: bytes, layout: NiftiLayout, order: str) -> Header:
    """Read the fields of a header of `layout.size` bytes.

    Raises
    ------
    Refused
        A field has an impossible value: a negative extent, an unknown type, voxels a kilometre away.
    """

    def field(where: tuple[str, int]) -> tuple[float, ...]:
        form, at = where
        return struct.unpack_from(order + form, block, at)

    at, magic = layout.magic
    if block[at : at + len(magic)] != magic:
        raise _bad("it is not a single-file volume (magic is not n+1 or n+2)")
    n_axes, *extents = (int(value) for value in field(layout.dim))
    if not 1 <= n_axes <= 7 or any(extent < 1 for extent in extents[:n_axes]):
        raise _bad(f"dim declares {n_axes} axes of {extents}")
    (code,) = struct.unpack_from(f"{order}h", block, layout.datatype)
    if code not in DTYPES:
        raise refused(
            "dtype",
            f"voxels are stored with NIfTI data type {code}; only whole and real numbers are read",
            cause="a complex, colour or extended-precision image",
            fix="store the mask as uint8: mask.astype('uint8')",
        )
    (offset,) = field(layout.offset)
    if not layout.first_voxel <= offset <= MAX_OFFSET:  # also false for NaN
        raise _bad(f"the voxels are declared to start at byte {offset}")
    slope, inter = field(layout.scaling)
    if slope == 0 or not math.isfinite(slope):
        slope, inter = 1.0, 0.0  # the format's value for "no scaling"
    if not math.isfinite(inter):
        raise _bad(f"scl_inter is {inter}")
    pixdim = field(layout.pixdim)
    has_qform, has_sform = (value > 0 for value in field(layout.codes))
    faults: list[str] = []
    sform = _sform(field(layout.rows), faults) if has_sform else None
    qform = _qform(pixdim, field(layout.quaternion), faults) if has_qform else None
    (units,) = struct.unpack_from(f"{order}{layout.units[0]}", block, layout.units[1])
    return Header(
        shape=tuple(extents[:n_axes]),
        spacing=tuple(pixdim[1 : n_axes + 1]),
        affine=sform or qform,
        dtype=np.dtype(order + DTYPES[code]),
        offset=int(offset),
        slope=slope,
        inter=inter,
        sform=sform,
        qform=qform,
        nonsense="; ".join(faults),
        units=units & 7,
    )


def _sform(rows: tuple[float, ...], faults: list[str]) -> Affine | None:
    """Return the stored affine (``nifti1.h``, method 3); None, and a fault, where it is invalid."""
    return _sound(np.array(rows, dtype=np.float64).reshape(3, 4), "sform", faults)


def _qform(pixdim: tuple[float, ...], quaternion: tuple[float, ...], faults: list[str]) -> Affine | None:
    """Return the affine of a quaternion (``nifti1.h``, method 2); None, and a fault, where it is invalid."""
    b, c, d, x, y, z = quaternion
    square = b * b + c * c + d * d
    if not square < 1 + _TOO_LONG:  # also for NaN
        faults.append(f"its qform's quaternion ({b:.4g}, {c:.4g}, {d:.4g}) is not a rotation")
        return None
    if abs(1.0 - square) < _HALF_TURN:  # rounding to 32 bits must not become a small rotation
        b, c, d = (part / math.sqrt(square) for part in (b, c, d))
        square = 1.0
    a = math.sqrt(max(0.0, 1.0 - square))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    sizes = np.array([pixdim[1], pixdim[2], pixdim[3] * handedness])
    return _sound(np.column_stack([rotation * sizes, [x, y, z]]), "qform", faults)


def _sound(matrix: NDArray[np.float64], name: str, faults: list[str]) -> Affine | None:
    if not (np.abs(matrix) <= MAX_POSITION).all():  # also false for NaN
        faults.append(f"its {name} is {matrix.tolist()}")
        return None
    return (*(tuple(row) for row in matrix.tolist()), (0.0, 0.0, 0.0, 1.0))


def _bad(what: str) -> Refused:
    return refused(
        "header",
        f"the header is invalid: {what}",
        cause="a damaged file, or one not written by a NIfTI library",
        fix="write it again with nibabel.save",
    )
