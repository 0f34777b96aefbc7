"""Slices and masks as small scripts: a page loads them without a server, and may read what they hold.

A slice of the CT is a grey WebP of 256 levels that are finer where tissue differs less, so that any window can be set
in the browser. A mask is, for every slice that is shown, a list of runs (gap, length, part), each number in
groups of seven bits, the lowest first, compressed by zlib.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.gallery.scans import Floats, Marked, Scan

#: (level, HU): levels between two of these are spread evenly.
LEVELS = ((0, -1024), (100, -160), (205, 240), (255, 2000))

#: Longest side of a slice in pixels; larger ones are shown smaller.
PIXELS = 768

#: Most bytes that the masks of one finding may have.
MASK_BYTES = 1_500_000

_QUALITY = 92


def to_levels(hu: Floats) -> NDArray[np.uint8]:
    """Turn HU into levels, 0 to 255."""
    level, known = np.array(LEVELS, float).T
    levels: NDArray[np.uint8] = np.rint(np.interp(hu, known, level)).astype(np.uint8)
    return levels


def of_levels() -> NDArray[np.int16]:
    """Return the HU of every level."""
    level, known = np.array(LEVELS, float).T
    hu: NDArray[np.int16] = np.rint(np.interp(np.arange(256), level, known)).astype(np.int16)
    return hu


def slice_script(scan: Scan, z: int, key: str) -> bytes:
    """Return a script that hands one slice of the CT to the viewer under a key."""
    from PIL import Image as pil  # noqa: N813 - the module's own name is that of its class

    levels = to_levels(scan.hu(scan.voxels[:, :, z]))
    image = pil.fromarray(np.ascontiguousarray(levels.T))
    if max(image.size) > PIXELS:
        image.thumbnail((PIXELS, PIXELS), pil.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=_QUALITY, method=4)
    return _script("Slice", {"key": key, "image": base64.b64encode(stream.getvalue()).decode()})


def masks_script(
    masks: Sequence[Marked], depths: Sequence[int], width: int, key: str, more: Mapping[str, Any]
) -> tuple[bytes, int]:
    """Return a script that hands the masks of a finding to the viewer, and how many it holds.

    Parameters
    ----------
    masks
        The masks; the last are left out where all together are larger than :data:`MASK_BYTES`.
    depths
        The slices that are shown.
    width
        Voxels from the right of the patient to the left.
    key
        Name under which the viewer finds it.
    more
        What the viewer should know beside the masks; JSON values.
    """
    layers: list[dict[str, Any]] = []
    size = 0
    for mask in masks:
        coded = [_coded(mask, z, width) for z in depths]
        data = zlib.compress(b"".join(coded), 9)
        size += len(data)
        if layers and size > MASK_BYTES:
            break
        layers.append(
            {"data": base64.b64encode(data).decode(), "ends": np.cumsum([len(runs) for runs in coded]).tolist()}
        )
    return _script("Masks", {"key": key, "masks": layers, **more}), len(layers)


def _coded(mask: Marked, z: int, width: int) -> bytes:
    """Return the runs of a mask on one slice."""
    here = mask.points[:, 2] == z
    if not here.any():
        return b""
    place = mask.points[here, 1].astype(np.int64) * width + mask.points[here, 0]
    order = np.argsort(place)
    place, label = place[order], mask.labels[here][order]
    starts = np.flatnonzero(np.append(True, (np.diff(place) != 1) | (np.diff(label) != 0)))
    lengths = np.diff(np.append(starts, len(place)))
    gaps = place[starts] - np.append(0, (place[starts] + lengths)[:-1])
    return _sevens(np.stack([gaps, lengths, label[starts]], axis=1).ravel())


def _sevens(numbers: NDArray[np.int64]) -> bytes:
    """Write numbers in groups of seven bits, the lowest first; the top bit says that another group follows."""
    groups = np.stack([(numbers >> shift) & 127 for shift in range(0, 35, 7)], axis=1)
    used = np.maximum(1, 5 - np.argmax(groups[:, ::-1] > 0, axis=1))
    used[numbers == 0] = 1
    follows = np.arange(5) < used[:, None] - 1
    held = np.arange(5) < used[:, None]
    return bytes((groups | (follows << 7))[held].astype(np.uint8))


def _script(name: str, content: Mapping[str, Any]) -> bytes:
    return f"window.groundbench{name}({json.dumps(content, separators=(',', ':'))});\n".encode()
