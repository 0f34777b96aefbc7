"""A small volume around the masks of a finding for the volume viewer, as a script that needs no server."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.gallery.packed import of_levels, to_levels
from leaderboard.gallery.parts import Layer
from leaderboard.gallery.scans import Ints, Scan

#: Millimetres of surroundings, and the most voxels that are kept; beyond that the planes are thinned.
MARGIN, MOST_VOXELS = 30.0, 1_000_000


def volume_script(scan: Scan, layers: Sequence[Layer], key: str) -> bytes:
    """Return a script that puts the CT and the masks around one finding where the volume viewer looks for them.

    Parameters
    ----------
    scan
        The CT, which must be there.
    layers
        The masks, the reference first where there is one; the box holds all of them.
    key
        Name under which the page finds it.
    """
    low, high, step = _box(layers, scan)
    window = tuple(slice(int(a), int(b), int(s)) for a, b, s in zip(low, high, step, strict=True))
    hu = of_levels()[to_levels(scan.hu(scan.voxels[window]))]  # as coarse as in the slices: half the bytes
    affine = scan.affine @ np.diag([*step.astype(float), 1.0])
    affine[:3, 3] = (scan.affine @ [*low.astype(float), 1.0])[:3]
    volumes: list[dict[str, Any]] = [{"name": "ct.nii.gz", "data": _nifti(hu, affine)}]
    for number, layer in enumerate(layers):
        mask = np.zeros(hu.shape, np.uint8)
        mask[tuple(((layer.points - low) // step).T)] = 1
        volumes.append({"name": f"mask-{number}.nii.gz", "data": _nifti(mask, affine)})
    content = {"key": key, "volumes": volumes, "step": step.tolist()}
    return f"window.groundbenchVolume({json.dumps(content)});\n".encode()


def _box(layers: Sequence[Layer], scan: Scan) -> tuple[Ints, Ints, Ints]:
    """Return the first voxel, the one after the last, and the step along each axis."""
    margin = np.ceil(MARGIN / np.array(scan.spacing)).astype(np.int64)
    ends = [(layer.points.min(axis=0), layer.points.max(axis=0)) for layer in layers if len(layer.points)]
    low = np.maximum(np.min([low for low, _ in ends], axis=0) - margin, 0)
    high = np.minimum(np.max([high for _, high in ends], axis=0) + 1 + margin, scan.shape)
    step = np.ones(3, np.int64)
    while np.prod(-(-(high - low) // step)) > MOST_VOXELS:
        step[int(np.argmin(step * np.array(scan.spacing)))] += 1
    return low, high, step


def _nifti(voxels: NDArray[np.uint8] | NDArray[np.int16], affine: NDArray[np.float64]) -> str:
    """Write a volume as base64 of a gzipped NIfTI file; the same voxels give the same text."""
    import nibabel as nib

    image = nib.Nifti1Image(np.ascontiguousarray(voxels), affine)  # type: ignore[no-untyped-call]
    packer = zlib.compressobj(9, wbits=31)  # gzip without a time or a name
    return base64.b64encode(packer.compress(image.to_bytes()) + packer.flush()).decode()
