"""A small volume around a finding for the volume viewer, as a script that a page can load without a server."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.gallery.pictures import MODEL, REFERENCE, WINDOWS, Layer
from leaderboard.gallery.scans import Points, Scan

#: Millimetres of surroundings, and the most voxels that are kept; beyond that the planes are thinned.
MARGIN, MOST_VOXELS = 30.0, 1_000_000


def volume_script(scan: Scan, layers: Sequence[Layer], key: str) -> bytes:
    """Return a script that puts the CT and the masks around one finding where ``viewer3d.js`` looks for them.

    Parameters
    ----------
    scan
        The CT.
    layers
        The reference, which is not empty, then the models.
    key
        Name under which the page finds it.
    """
    low, high, step = _box(layers[0].points, scan)
    window = tuple(slice(int(a), int(b), int(s)) for a, b, s in zip(low, high, step, strict=True))
    darkest, brightest = WINDOWS["Lung"]
    hu = scan.hu(scan.voxels[window])
    grey = np.clip((hu - darkest) / (brightest - darkest) * 255 + 0.5, 0, 255).astype(np.uint8)
    affine = scan.affine @ np.diag([*step.astype(float), 1.0])
    affine[:3, 3] = (scan.affine @ [*low.astype(float), 1.0])[:3]
    volumes: list[dict[str, Any]] = [{"name": "ct.nii.gz", "data": _nifti(grey, affine)}]
    for number, layer in enumerate(layers):
        mask = np.zeros(grey.shape, np.uint8)
        places = (layer.points - low) // step
        inside = ((layer.points >= low) & (layer.points < high)).all(axis=1)
        mask[tuple(places[inside].T)] = 1
        colour = list(MODEL if number else REFERENCE)
        volumes.append({"name": f"mask-{number}.nii.gz", "data": _nifti(mask, affine), "colour": colour})
    document = json.dumps({"key": key, "volumes": volumes})
    return f"window.groundbenchVolume({document});\n".encode()


def _box(points: Points, scan: Scan) -> tuple[Points, Points, Points]:
    """Return the first voxel, the one after the last, and the step along each axis."""
    margin = np.ceil(MARGIN / np.array(scan.spacing)).astype(np.int64)
    low = np.maximum(points.min(axis=0) - margin, 0)
    high = np.minimum(points.max(axis=0) + 1 + margin, scan.shape)
    step = np.ones(3, np.int64)
    while np.prod(-(-(high - low) // step)) > MOST_VOXELS:
        step[int(np.argmin(step * np.array(scan.spacing)))] += 1
    return low, high, step


def _nifti(voxels: NDArray[np.uint8], affine: NDArray[np.float64]) -> str:
    """Write a volume as base64 of a gzipped NIfTI file; the same voxels give the same text."""
    import nibabel as nib

    image = nib.Nifti1Image(np.ascontiguousarray(voxels), affine)  # type: ignore[no-untyped-call]
    packer = zlib.compressobj(9, wbits=31)  # gzip without a time or a name
    return base64.b64encode(packer.compress(image.to_bytes()) + packer.flush()).decode()
