"""From a query to a mask: the segmenter of each kind, and the fallback when it finds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from . import air, nodules, opacities, pleura
from .grid import Bools, without_specks
from .lexicon import Kind
from .scene import Window
from .text import Query

Segmenter = Callable[[Window, Query], Bools]

SEGMENTERS: Mapping[Kind, Segmenter] = MappingProxyType(
    {
        Kind.BRONCHIAL_WALL: air.bronchial_walls,
        Kind.BRONCHIECTASIS: air.bronchiectasis,
        Kind.EMPHYSEMA: air.emphysema,
        Kind.BULLA: air.bullae,
        Kind.SEPTAL: opacities.septal_lines,
        Kind.MICRONODULES: nodules.micronodules,
        Kind.MOSAIC: air.mosaic,
        Kind.AIRWAY_CONTENT: air.airway_content,
        Kind.LINEAR: opacities.bands,
        Kind.CONSOLIDATION: opacities.consolidation,
        Kind.GROUND_GLASS: opacities.ground_glass,
        Kind.NODULE: nodules.nodules,
        Kind.EFFUSION: pleura.effusion,
        Kind.PLEURAL_THICKENING: pleura.pleural_thickening,
        Kind.PLEURAL_CALCIFICATION: pleura.pleural_calcification,
        Kind.HONEYCOMBING: opacities.honeycombing,
        Kind.PNEUMOTHORAX: air.pneumothorax,
        Kind.CYST: nodules.cysts,
        Kind.OTHER: opacities.consolidation,
    }
)
#: Kinds that are darker than normal lung.
DARK = frozenset({Kind.EMPHYSEMA, Kind.BULLA, Kind.MOSAIC, Kind.PNEUMOTHORAX, Kind.CYST})


def segment_finding(window: Window, query: Query) -> Bools:
    """Segment one finding on the working grid.

    Returns
    -------
    ndarray of bool
        Empty only for a finding that the text says is absent. A finding that its segmenter does not see gets the
        most conspicuous part of its region: the text says that there is something.
    """
    if query.absent:
        return np.zeros(window.ct.hu.shape, dtype=bool)
    mask = SEGMENTERS[query.kind](window, query)
    if mask.any():
        return mask
    return _most_conspicuous(window, query)


def _most_conspicuous(window: Window, query: Query) -> Bools:
    """Return the densest (for findings of air: the darkest) two per cent of a region."""
    region = window.region(query) & window.lungs
    if not region.any():
        region = window.lungs
    smooth = window.smooth(1.2)
    value = -smooth if query.kind in DARK else smooth
    chosen = region & (value >= np.quantile(value[region], 0.98))
    parts = without_specks(chosen, 3)
    return parts if parts.any() else chosen
