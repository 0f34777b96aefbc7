"""Grounding by rule: a finding's text and a CT give a mask; needs only numpy, scipy and nibabel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .findings import segment_finding
from .scene import Scene
from .text import Query, parse

__all__ = ["Query", "iter_segment", "parse", "segment"]


def segment(volume_hu: NDArray[Any], affine: NDArray[Any], texts: Sequence[str]) -> list[NDArray[np.bool_]]:
    """Segment the findings of one CT.

    Parameters
    ----------
    volume_hu
        (H, W, D), Hounsfield units; any orientation, spacing and size, whole chest or crop.
    affine
        (4, 4), voxel to RAS+ world, mm.
    texts
        One finding each.

    Returns
    -------
    list of ndarray of bool, shape (H, W, D)
        One mask per text, on the grid of `volume_hu`.
    """
    return list(iter_segment(volume_hu, affine, texts))


def iter_segment(volume_hu: NDArray[Any], affine: NDArray[Any], texts: Sequence[str]) -> Iterator[NDArray[np.bool_]]:
    """Yield what :func:`segment` returns, one mask at a time; the anatomy is found once for all of them."""
    scene = Scene(volume_hu, affine)
    for text in texts:
        query = parse(text)
        window = scene.window(query)
        yield scene.native(window, segment_finding(window, query))
